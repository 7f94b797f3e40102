//! Polling: what changes in a repository is loaded, what goes away is unloaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use super::Repository;
use super::layout;
use crate::state::State;

type Fingerprint = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// A thread that looks at the repositories until this is dropped.
pub(crate) struct Poller {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Begins to look, every `interval`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(state: State, interval: Duration) -> std::io::Result<Self> {
        let (end, ended) = channel();
        let mut known = state.repository.as_ref().map(fingerprints).unwrap_or_default();
        let thread = thread::Builder::new().name("poll".to_owned()).spawn(move || {
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Some(repository) = &state.repository {
                    look(repository, &state, &mut known);
                }
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        drop(self.end.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that polls ended in a panic");
        }
    }
}

fn fingerprints(repository: &Repository) -> BTreeMap<String, Fingerprint> {
    let models =
        repository.models().inspect_err(|reason| tracing::warn!(reason, "a repository cannot be read"));
    models
        .unwrap_or_default()
        .into_iter()
        .map(|(name, folder)| (name, layout::fingerprint(&folder)))
        .collect()
}

fn look(repository: &Repository, state: &State, known: &mut BTreeMap<String, Fingerprint>) {
    let Ok(models) = repository.models() else { return };
    for name in known.keys().filter(|name| !models.contains_key(*name)) {
        tracing::info!(model = name, "gone from its repository");
        state.models.unload(name);
    }
    known.retain(|name, _| models.contains_key(name));
    for (name, folder) in models {
        let found = layout::fingerprint(&folder);
        if known.get(&name) == Some(&found) {
            continue;
        }
        // A model that cannot be loaded is tried again when it has changed again.
        drop(repository.load(&state.models, &name, None));
        known.insert(name, found);
    }
}
