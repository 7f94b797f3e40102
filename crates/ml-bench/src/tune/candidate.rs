//! A candidate: one set of settings, and all of them that a machine of so many CPUs is worth trying with.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use serde::Serialize;

use crate::limit::Width;

/// One set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Runners, each with one batch.
    pub runners: usize,
    /// Threads inside one run.
    pub intra_op_threads: usize,
    /// Threads inside a run that has the machine to itself.
    pub wide_threads: usize,
    /// Most items in one run: the budget.
    pub batch_items_max: usize,
}

impl Candidate {
    /// Returns all candidates: runners × threads fill at most the CPUs, and a lone run gets its runner's threads
    /// or all.
    pub fn all(cpus: usize, budgets: &[NonZeroUsize]) -> Vec<Self> {
        let steps = Width::steps(cpus);
        let mut all = Vec::new();
        for Width { sessions, threads } in Width::within(cpus, &steps, &steps) {
            let mut wide = vec![threads.get(), cpus];
            wide.dedup();
            for wide_threads in wide {
                all.extend(budgets.iter().map(|budget| Self {
                    runners: sessions.get(),
                    intra_op_threads: threads.get(),
                    wide_threads,
                    batch_items_max: budget.get(),
                }));
            }
        }
        all
    }

    /// Returns the settings by their keys.
    pub(super) fn settings(&self) -> [(&'static str, usize); 4] {
        [
            ("runners", self.runners),
            ("intra_op_threads", self.intra_op_threads),
            ("wide_threads", self.wide_threads),
            ("batch_items_max", self.batch_items_max),
        ]
    }

    /// Returns the variables that start a server with these settings on a port.
    pub(super) fn env(&self, port: u16) -> BTreeMap<String, String> {
        let settings = self.settings().into_iter().chain([("port", port.into())]);
        settings.map(|(key, value)| (format!("ML_SERVE_{}", key.to_uppercase()), value.to_string())).collect()
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runners, intra_op_threads, wide_threads, batch_items_max } = self;
        write!(f, "{runners} runners × {intra_op_threads} threads, {wide_threads} alone, ")?;
        write!(f, "budget {batch_items_max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_fill_at_most_the_cpus() {
        let budgets = [8, 16].map(|budget| NonZeroUsize::new(budget).unwrap());
        let all = |cpus| Candidate::all(cpus, &budgets);
        assert_eq!(all(1).len(), 2);
        let two: Vec<String> = all(2).iter().map(ToString::to_string).collect();
        let expected = [
            "1 runners × 1 threads, 1 alone, budget 8",
            "1 runners × 1 threads, 1 alone, budget 16",
            "1 runners × 1 threads, 2 alone, budget 8",
            "1 runners × 1 threads, 2 alone, budget 16",
            "1 runners × 2 threads, 2 alone, budget 8",
            "1 runners × 2 threads, 2 alone, budget 16",
            "2 runners × 1 threads, 1 alone, budget 8",
            "2 runners × 1 threads, 1 alone, budget 16",
            "2 runners × 1 threads, 2 alone, budget 8",
            "2 runners × 1 threads, 2 alone, budget 16",
        ];
        assert_eq!(two, expected);
        assert!(all(8).iter().all(|candidate| candidate.runners * candidate.intra_op_threads <= 8));
    }

    #[test]
    fn settings_become_the_servers_variables() {
        let candidate = Candidate { runners: 2, intra_op_threads: 1, wide_threads: 4, batch_items_max: 16 };
        let env = candidate.env(8090);
        let expected = [
            ("ML_SERVE_BATCH_ITEMS_MAX", "16"),
            ("ML_SERVE_INTRA_OP_THREADS", "1"),
            ("ML_SERVE_PORT", "8090"),
            ("ML_SERVE_RUNNERS", "2"),
            ("ML_SERVE_WIDE_THREADS", "4"),
        ];
        assert!(env.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{env:?}");
    }
}
