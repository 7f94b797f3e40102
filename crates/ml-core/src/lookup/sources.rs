//! The sources of one engine, by name: before they run, and running.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::ask::{Answers, Moment};
use super::background::{Background, until};
use super::clock;
use super::facts::{Facts, Found};
use super::live::Live;
use super::source::Source;
use super::stats::{LookupCounts, LookupMetrics, Stats};
use super::{Key, Lookup, LookupError};

type Start = Box<dyn FnOnce(Stats, Handle) -> Arc<dyn Answers> + Send>;

/// The sources that an engine is going to have.
#[derive(Default)]
pub(crate) struct Sources(BTreeMap<&'static str, Start>);

impl Sources {
    pub fn add<L: Lookup>(&mut self, name: &'static str, source: Source<L>) {
        self.0.insert(name, Box::new(move |stats, handle| Arc::new(Live::new(source, stats, handle))));
    }

    /// Starts the threads that fetch, if there is a source; a log line, and sources that fail, where there are none.
    pub fn start(self, metrics: &LookupMetrics, model: &str) -> Running {
        if self.0.is_empty() {
            return Running::default();
        }
        match Background::start() {
            Ok(background) => {
                let sources = self.on(background.handle(), metrics, model);
                Running { named: true, sources, background: Some(background) }
            }
            Err(error) => {
                tracing::error!(%error, "no threads for lookups: they fail");
                Running { named: true, ..Running::default() }
            }
        }
    }

    /// Starts each source, whose fetches are to run on `handle`.
    fn on(self, handle: &Handle, metrics: &LookupMetrics, model: &str) -> Vec<Named> {
        let started =
            |(name, start): (_, Start)| (name, start(metrics.of_source(model, name), handle.clone()));
        self.0.into_iter().map(started).collect()
    }

    /// Starts them in the runtime that runs the caller, whose clock may be a simulated one.
    #[cfg(test)]
    pub fn start_here(self, metrics: &LookupMetrics, model: &str) -> Running {
        let sources = self.on(&Handle::current(), metrics, model);
        Running { named: true, sources, background: None }
    }
}

type Named = (&'static str, Arc<dyn Answers>);

/// The sources of a running engine.
#[derive(Default)]
pub(crate) struct Running {
    named: bool,
    sources: Vec<Named>,
    background: Option<Background>,
}

/// The keys of a call that one source is asked for, and where their facts go.
#[derive(Default)]
struct Question<'a> {
    places: Vec<usize>,
    ids: Vec<&'a str>,
}

impl Running {
    pub fn is_empty(&self) -> bool {
        !self.named
    }

    /// Returns what ends at `time`, on any executor; without a source there is nothing that keeps time, nor need for it.
    pub fn until(&self, time: Instant) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.background.as_ref().map(|background| until(background.handle(), time))
    }

    /// Finds what became of every key that was named in `facts`, asking each source once.
    pub async fn gather(&self, facts: &mut Facts, deadline: Option<Instant>) -> LookupCounts {
        let mut counts = LookupCounts::default();
        let moment = Moment { now: clock::now(), deadline };
        let (questions, strays) = self.questions(facts);
        let mut known = Vec::with_capacity(self.sources.len());
        let mut pending = Vec::new();
        for (question, (_, source)) in questions.into_iter().zip(&self.sources) {
            if question.ids.is_empty() {
                continue;
            }
            let asked = Arc::clone(source).ask(&question.ids, moment);
            counts.add(asked.counts);
            if let Some(answers) = asked.pending {
                pending.push((known.len(), answers));
            }
            known.push((question.places, asked.found));
        }
        for place in strays {
            counts.failed += 1;
            let error = LookupError::new("no source of this name was added to the engine");
            facts.set(place, Found::Failed(error));
        }
        let answers = join_all(pending.into_iter().map(|(of, answers)| async move { (of, answers.await) }));
        for (of, (late, late_counts)) in answers.await {
            counts.add(late_counts);
            for (index, found) in late {
                known[of].1[index] = found;
            }
        }
        for (places, found) in known {
            places.into_iter().zip(found).for_each(|(place, found)| facts.set(place, found));
        }
        counts
    }

    /// Sorts the keys by source; those of no source are left over.
    fn questions<'a>(&self, facts: &'a Facts) -> (Vec<Question<'a>>, Vec<usize>) {
        let mut questions: Vec<Question<'_>> = self.sources.iter().map(|_| Question::default()).collect();
        let mut strays = Vec::new();
        for (place, Key { source, id }) in facts.keys().enumerate() {
            match self.sources.iter().position(|(name, _)| name == source) {
                Some(index) => {
                    questions[index].places.push(place);
                    questions[index].ids.push(id);
                }
                None => strays.push(place),
            }
        }
        (questions, strays)
    }
}
