//! The models that are served, by name and version: read by every request, changed by loading and unloading.
//!
//! A request holds the model that it found until it is answered, so one that is replaced or unloaded ends only then.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;
use ml_core::Striped;

use crate::ApiError;
use crate::state::{Held, Model};

/// The models by name.
#[derive(Default)]
pub(crate) struct Registry {
    models: RwLock<BTreeMap<String, Entry>>,
    /// The latest versions that a thread's requests have asked for, so that threads meet nowhere to find a model.
    found: Striped<Mutex<HashMap<String, Held, RandomState>>>,
}

/// The versions of one model.
#[derive(Default)]
struct Entry {
    ready: BTreeMap<u64, Arc<Model>>,
    /// Versions that are not served any more, or could not be, and why; 0 where it is the model as a whole.
    gone: BTreeMap<u64, String>,
}

/// A version of a model, as an index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub name: String,
    /// None where the model as a whole is not served.
    pub version: Option<u64>,
    /// None while it is ready.
    pub reason: Option<String>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Entry>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry>> {
        self.models.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a model: of the version that is asked for, or of its latest.
    ///
    /// # Errors
    /// When there is no such model, none of its versions is ready, or not this one.
    pub fn find(&self, name: &str, version: Option<&str>) -> Result<Held, ApiError> {
        if version.is_some() {
            return self.look_up(name, version);
        }
        // Locked until it is taken down what was found: who changes the models forgets it afterwards.
        let mut found = self.found.own().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = found.get(name) {
            return Ok(model.clone());
        }
        let model = self.look_up(name, None)?;
        found.insert(name.to_owned(), model.clone());
        Ok(model)
    }

    fn look_up(&self, name: &str, version: Option<&str>) -> Result<Held, ApiError> {
        let models = self.read();
        let Some(entry) = models.get(name) else {
            let known =
                models.iter().filter(|(_, entry)| !entry.ready.is_empty()).map(|(name, _)| name.clone());
            return Err(ApiError::UnknownModel {
                name: name.to_owned(),
                known: known.collect::<Vec<_>>().join(", "),
            });
        };
        let found = match version {
            None => entry.ready.values().next_back(),
            Some(version) => version.parse().ok().and_then(|version: u64| entry.ready.get(&version)),
        };
        found.map(Held::new).ok_or_else(|| match version {
            Some(version) if !entry.ready.is_empty() => {
                ApiError::UnknownVersion { name: name.to_owned(), version: version.to_owned() }
            }
            _ => ApiError::Unloaded { name: name.to_owned() },
        })
    }

    /// Returns the latest version of every model, by name.
    pub fn latest(&self) -> Vec<Arc<Model>> {
        self.read().values().filter_map(|entry| entry.ready.values().next_back().cloned()).collect()
    }

    /// Returns every version of every model.
    pub fn all(&self) -> Vec<Arc<Model>> {
        self.read().values().flat_map(|entry| entry.ready.values().cloned()).collect()
    }

    /// Returns the versions of a model that are ready.
    pub fn versions(&self, name: &str) -> Vec<String> {
        let models = self.read();
        models.get(name).into_iter().flat_map(|entry| entry.ready.keys().map(u64::to_string)).collect()
    }

    /// Lists every version of every model that is or was there.
    pub fn index(&self) -> Vec<Listed> {
        let models = self.read();
        let listed = models.iter().flat_map(|(name, entry)| {
            let ready = entry.ready.keys().map(|version| (Some(*version), None));
            let gone = entry
                .gone
                .iter()
                .map(|(version, reason)| ((*version > 0).then_some(*version), Some(reason.clone())));
            ready.chain(gone).map(|(version, reason)| Listed { name: name.clone(), version, reason })
        });
        listed.collect()
    }

    /// Puts these versions in the place of those that there are, at once.
    pub fn replace(&self, name: &str, versions: Vec<Arc<Model>>, failed: BTreeMap<u64, String>) {
        let ready: BTreeMap<u64, Arc<Model>> =
            versions.into_iter().map(|model| (model.version, model)).collect();
        let old = {
            let mut models = self.write();
            let entry = models.entry(name.to_owned()).or_default();
            let mut gone = failed;
            for version in entry.ready.keys().filter(|version| !ready.contains_key(version)) {
                gone.entry(*version).or_insert_with(|| "unloaded".to_owned());
            }
            entry.gone = gone;
            std::mem::replace(&mut entry.ready, ready)
        };
        // Retired before it is forgotten: whoever lets go of it last ends it.
        old.values().for_each(|model| model.retire());
        for found in self.found.all() {
            found.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }

    /// Takes down why a model could not be loaded; what is served goes on.
    pub fn failed(&self, name: &str, reason: String) {
        let mut models = self.write();
        let entry = models.entry(name.to_owned()).or_default();
        if entry.ready.is_empty() {
            entry.gone.insert(0, reason);
        }
    }

    /// Serves a model no longer.
    pub fn unload(&self, name: &str) {
        if self.read().contains_key(name) {
            self.replace(name, Vec::new(), BTreeMap::new());
        }
    }

    /// Lets every model take no new work.
    pub fn close(&self) {
        self.all().iter().for_each(|model| model.served.close());
    }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::thread;

    use ml_core::CallOptions;

    use super::*;
    use crate::served::{Item, Later, ModelInfo, Reply, Served};

    struct Nothing;

    impl Served for Nothing {
        fn call<'a>(&'a self, _: Vec<Item<'a>>, _: CallOptions) -> Later<'a, Reply> {
            Box::pin(std::future::pending())
        }

        fn check<'a>(&'a self, _: CallOptions) -> Later<'a, Result<(), ApiError>> {
            Box::pin(std::future::pending())
        }

        fn close(&self) {}

        fn any(&self) -> &dyn Any {
            self
        }
    }

    fn model(version: u64) -> Arc<Model> {
        Arc::new(Model::new("m", version, Arc::new(Nothing), ModelInfo::default()))
    }

    #[test]
    fn every_thread_finds_what_there_is_now_and_keeps_nothing_of_before() {
        let registry = Registry::default();
        let found = || registry.find("m", None).map(|model| model.version).ok();
        let found_by_threads =
            || thread::scope(|threads| [(); 3].map(|()| threads.spawn(found).join().unwrap()));
        assert_eq!(found(), None);
        let first = model(1);
        let before = Arc::downgrade(&first);
        registry.replace("m", vec![first], BTreeMap::new());
        assert_eq!((found(), found_by_threads()), (Some(1), [Some(1); 3]));
        let held = registry.find("m", None).ok();
        registry.replace("m", vec![model(2)], BTreeMap::new());
        assert_eq!((found(), found_by_threads()), (Some(2), [Some(2); 3]));
        assert!(before.upgrade().is_some(), "a request holds it");
        drop(held);
        assert!(before.upgrade().is_none(), "and nobody else");
        registry.unload("m");
        assert_eq!((found(), found_by_threads()), (None, [None; 3]));
    }
}
