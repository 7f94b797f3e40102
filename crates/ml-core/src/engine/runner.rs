//! Runner threads: take a batch when idle, run the model, and find the guilty item when a batch fails.
//!
//! A model of microseconds runs on the caller's thread instead: to wake another and to be woken by it takes longer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Error, ModelError, Pipeline, Stage};

use super::metrics::EngineMetrics;
use super::prepare::{dropped, panic_message};
use super::queue::{Batch, Call, Queue, Run};

/// A caller that helps does so for so many batches in a row: its thread has other things to do.
const HELPS_MAX: usize = 4;

/// The runner threads of one engine.
pub(super) struct Runners<P: Pipeline> {
    /// Runs batches on the threads of callers.
    helper: Runner<P>,
    threads: Vec<JoinHandle<()>>,
    /// How many were asked for.
    wanted: usize,
}

impl<P: Pipeline> Runners<P> {
    /// Starts `count` runners; fewer where the system gives fewer threads, which [`Self::all_alive`] shows.
    pub fn start(count: usize, pipeline: &Arc<P>, queue: &Arc<Queue<P>>, metrics: &EngineMetrics) -> Self {
        let runner =
            || Runner { pipeline: Arc::clone(pipeline), queue: Arc::clone(queue), metrics: metrics.clone() };
        let threads = (0..count).filter_map(|index| {
            let runner = runner();
            let name = format!("runner-{index}");
            let spawned = thread::Builder::new().name(name).spawn(move || runner.run());
            spawned.inspect_err(|error| tracing::error!(%error, "a runner thread could not be started")).ok()
        });
        Self { threads: threads.collect(), helper: runner(), wanted: count }
    }

    /// Runs on this thread what it is quicker to run than to wake a runner for; what is left then wakes one.
    pub fn help(&self, call: Option<Call<'_, P>>) {
        let Some(mut call) = call else { return };
        for _ in 0..HELPS_MAX {
            let Some(batch) = call.take() else { return };
            let started = Instant::now();
            let survived = self.helper.survives(|| self.helper.run_batch(batch));
            call.took(started.elapsed());
            if !survived {
                return;
            }
        }
    }

    pub fn all_alive(&self) -> bool {
        self.threads.len() == self.wanted && !self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl<P: Pipeline> Drop for Runners<P> {
    fn drop(&mut self) {
        self.helper.queue.close();
        let this_thread = thread::current().id();
        for thread in self.threads.drain(..) {
            // A pipeline may hold the last engine of another one, and so drop it on one of its own runners.
            if thread.thread().id() != this_thread && thread.join().is_err() {
                tracing::error!("a runner thread ended in a panic");
            }
        }
    }
}

struct Runner<P: Pipeline> {
    pipeline: Arc<P>,
    queue: Arc<Queue<P>>,
    metrics: EngineMetrics,
}

impl<P: Pipeline> Runner<P> {
    /// Runs batches until the queue is closed and empty.
    ///
    /// A panic of the model is caught where it happens, and so is one of features that are dropped. One from elsewhere (predictions
    /// that panic when they are dropped) ends this runner's turn: its items are answered with an error, and the runner begins anew.
    fn run(&self) {
        while !self.survives(|| self.run_batches()) {}
    }

    fn run_batches(&self) {
        while let Some(batch) = self.queue.take() {
            self.run_batch(batch);
        }
    }

    /// Does `work` to its end, or says and counts what it died of.
    fn survives(&self, work: impl FnOnce()) -> bool {
        let Err(panic) = catch_unwind(AssertUnwindSafe(work)) else { return true };
        self.metrics.runner_replaced();
        tracing::error!(reason = panic_message(&*panic), "a runner died and was replaced");
        false
    }

    fn run_batch(&self, batch: Batch<P>) {
        let started = Instant::now();
        let run = batch.run;
        let mut working = Working { queue: &self.queue, run, time: None };
        self.metrics.batch(&batch, started);

        let mut features = Vec::with_capacity(batch.jobs.len());
        let mut waits = Vec::with_capacity(batch.jobs.len());
        for job in batch.jobs {
            features.push(job.features);
            waits.push((job.ticket, started.duration_since(job.enqueued)));
        }
        let (results, in_one_run) = run.width.grant(|| self.predict(&features));
        let predicted = started.elapsed();
        working.time = in_one_run.then_some(predicted);
        drop(working);
        for ((ticket, queued), result) in waits.into_iter().zip(results) {
            ticket.answer(result, queued, predicted);
        }
        // One by one: of two that panic in the same drop of them all, the second would end the process.
        features.into_iter().for_each(dropped);
    }

    /// Predicts a batch; one that fails is split until the guilty item is alone. Also says whether one run was enough.
    fn predict(&self, features: &[P::Features]) -> (Vec<Result<P::Prediction, Error>>, bool) {
        match self.try_predict(features) {
            Ok(predictions) => (predictions.into_iter().map(Ok).collect(), true),
            Err(error) if features.len() == 1 => {
                tracing::warn!(%error, "the model failed on an item");
                (vec![Err(error)], false)
            }
            Err(_) => {
                let (first, second) = features.split_at(features.len() / 2);
                let (mut results, _) = self.predict(first);
                results.extend(self.predict(second).0);
                (results, false)
            }
        }
    }

    fn try_predict(&self, features: &[P::Features]) -> Result<Vec<P::Prediction>, Error> {
        let predicted = catch_unwind(AssertUnwindSafe(|| self.pipeline.predict_batch(features)));
        let predictions = predicted
            .map_err(|panic| Error::Panicked { stage: Stage::Predict, reason: panic_message(&*panic) })?
            .map_err(|ModelError { reason }| Error::ModelFailed { reason })?;
        if predictions.len() != features.len() {
            let (got, asked) = (predictions.len(), features.len());
            return Err(Error::ModelFailed { reason: format!("{got} predictions for {asked} items") });
        }
        Ok(predictions)
    }
}

/// Tells the queue that the runner is free again, also when it panics.
struct Working<'a, P: Pipeline> {
    queue: &'a Queue<P>,
    run: Run,
    time: Option<Duration>,
}

impl<P: Pipeline> Drop for Working<'_, P> {
    fn drop(&mut self) {
        self.queue.done(self.run, self.time);
    }
}
