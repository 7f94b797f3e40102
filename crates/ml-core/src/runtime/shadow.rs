//! Shadow mode: a share of the runs of a variant is repeated by the original, off the critical path, and compared.
//!
//! A live run pays for a copy of its tensors, and only when the shadow is idle: what it cannot take in at once is not compared.
//! The shadow is one thread with one session. On Linux it has the lowest priority, so that it computes with what live runs
//! leave; its session computes on that thread alone.

mod numbers;
#[cfg(test)]
mod tests;
mod unpack;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::fidelity::{Apart, compare};
use super::{Backend, LoadError, Outputs, Signature, Tensor};
use crate::ModelError;

pub(crate) use self::numbers::{ShadowMetrics, ShadowNumbers};

/// Runs that the shadow has at once: one that it is at, and one that waits.
const RUNS_MAX: usize = 2;

/// The original of a model, which repeats some of its runs.
pub(super) struct Shadow {
    /// The share of runs that are repeated, from 0 to 1.
    share: f64,
    waiting: Arc<AtomicUsize>,
    numbers: Arc<OnceLock<ShadowNumbers>>,
    runs: Sender<Run>,
}

/// Inputs that were copied for the shadow, and the place that they take there.
pub(super) struct Asked {
    inputs: Vec<(String, Tensor<'static>)>,
    place: Place,
}

struct Run {
    asked: Asked,
    /// In the order of the signature.
    outputs: Vec<Tensor<'static>>,
}

/// One of [`RUNS_MAX`] places, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shadow {
    /// Starts the thread, which loads the original there, and waits for that.
    pub fn start(
        share: f64,
        load: impl FnOnce() -> Result<Box<dyn Backend>, LoadError> + Send + 'static,
    ) -> Result<Self, LoadError> {
        let (runs, received) = channel();
        let (loaded, told) = channel();
        let numbers = Arc::new(OnceLock::new());
        let shadow = Self { share, waiting: Arc::default(), numbers: Arc::clone(&numbers), runs };
        let work = move || {
            // First of all: threads that the runtime starts have the priority of the one that starts them.
            lower_priority();
            match load() {
                Ok(original) => {
                    loaded.send(Ok(())).ok();
                    repeat_all(&*original, &received, &numbers);
                }
                Err(error) => drop(loaded.send(Err(error))),
            }
        };
        if let Err(error) = thread::Builder::new().name("shadow".to_owned()).spawn(work) {
            tracing::error!(%error, "no thread for the shadow: nothing is compared");
            return Ok(shadow);
        }
        // A thread that is gone without a word has panicked; it compares nothing.
        told.recv().unwrap_or(Ok(()))?;
        Ok(shadow)
    }

    /// Returns where the numbers are counted, to be set once.
    pub fn numbers(&self) -> &OnceLock<ShadowNumbers> {
        &self.numbers
    }

    /// Copies the inputs of a run that shall be repeated; `None` for most, and while the shadow is busy.
    pub fn ask(&self, inputs: &[(&str, Tensor<'_>)]) -> Option<Asked> {
        if fastrand::f64() >= self.share {
            return None;
        }
        let place = Place(Arc::clone(&self.waiting));
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= RUNS_MAX {
            self.count(ShadowNumbers::busy);
            return None;
        }
        let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.to_static()));
        Some(Asked { inputs: inputs.collect(), place })
    }

    /// Hands a run to the shadow, with what came of it.
    pub fn repeat(&self, asked: Asked, signature: &Signature, outputs: &Outputs) {
        let tensors = signature.outputs.iter().map(|info| Ok(outputs.tensor(&info.name)?.to_static()));
        let sent = tensors
            .collect::<Result<Vec<_>, ModelError>>()
            .map(|outputs| self.runs.send(Run { asked, outputs }));
        if !matches!(sent, Ok(Ok(()))) {
            self.count(ShadowNumbers::failed);
        }
    }

    fn count(&self, count: impl FnOnce(&ShadowNumbers)) {
        if let Some(numbers) = self.numbers.get() {
            count(numbers);
        }
    }
}

/// Repeats runs until the model is gone.
fn repeat_all(original: &dyn Backend, runs: &Receiver<Run>, numbers: &OnceLock<ShadowNumbers>) {
    let mut told = false;
    for Run { asked: Asked { inputs, place }, outputs } in runs {
        let compared = repeat(original, inputs, &outputs);
        if let Err(error) = &compared
            && !told
        {
            // Once: what does not compare, never does.
            tracing::warn!(%error, "the shadow cannot compare a run");
            told = true;
        }
        if let Some(numbers) = numbers.get() {
            match compared {
                Ok(apart) => numbers.compared(&apart),
                Err(_) => numbers.failed(),
            }
        }
        drop(place);
    }
}

fn repeat(
    original: &dyn Backend,
    inputs: Vec<(String, Tensor<'static>)>,
    outputs: &[Tensor<'static>],
) -> Result<Vec<Apart>, ModelError> {
    let signature = original.signature();
    let inputs = unpack::padded(signature, inputs)?;
    let borrowed: Vec<(&str, Tensor<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    signature.check(&borrowed)?;
    let answered = original.run(borrowed)?;
    let expected = signature.outputs.iter().map(|info| answered.tensor(&info.name));
    compare(signature, &expected.collect::<Result<Vec<_>, _>>()?, outputs)
}

/// Gives the calling thread the lowest priority, where that can be done for one thread.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::warn!(%error, "the shadow has the priority of live runs");
    }
    #[cfg(not(target_os = "linux"))]
    tracing::warn!("the shadow has the priority of live runs: it can be lowered on Linux only");
}
