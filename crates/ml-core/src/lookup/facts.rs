//! The facts of one call, by key.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use indexmap::{Equivalent, IndexMap};

use crate::Error;

use super::{Key, LookupError};

/// A value whose type only the pipeline knows.
pub(crate) type Fact = Arc<dyn Any + Send + Sync>;

/// What became of one key.
#[derive(Clone)]
pub(crate) enum Found {
    /// The source knows it.
    Fact(Fact),
    /// The source knows none, and the items can do without.
    Unknown,
    /// It could not be had, which fails the items that named it.
    Failed(LookupError),
    /// It had not come when the call's time was up.
    TooLate,
}

/// The facts of one call, by key. Empty for a pipeline that names none.
#[derive(Default)]
pub struct Facts {
    found: IndexMap<Key, Found>,
}

impl Facts {
    /// Returns the fact that `key` names, or `None` where the source knows none (or holds another type).
    pub fn get<V: 'static>(&self, key: &Key) -> Option<&V> {
        self.of(key.source, &key.id)
    }

    /// Returns the fact `id` of `source`, like [`get`](Self::get) and without a key being made for it.
    pub fn of<V: 'static>(&self, source: &str, id: &str) -> Option<&V> {
        match self.found.get(&Named { source, id })? {
            Found::Fact(fact) => fact.downcast_ref(),
            Found::Unknown | Found::Failed(_) | Found::TooLate => None,
        }
    }

    /// Adds a key that an item names; returns its place, which equal keys share.
    pub(crate) fn name(&mut self, key: Key) -> usize {
        let entry = self.found.entry(key);
        let place = entry.index();
        entry.or_insert(Found::Unknown);
        place
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.found.keys()
    }

    pub(crate) fn set(&mut self, place: usize, found: Found) {
        self.found[place] = found;
    }

    /// Says why a fact at one of `places` could not be had, if so.
    pub(crate) fn failure(&self, places: &[usize]) -> Option<Error> {
        places.iter().find_map(|place| {
            let (key, found) = self.found.get_index(*place)?;
            match found {
                Found::Fact(_) | Found::Unknown => None,
                Found::TooLate => Some(Error::DeadlineExceeded),
                Found::Failed(error) => Some(Error::LookupFailed {
                    source_name: key.source.to_owned(),
                    reason: error.reason.clone(),
                }),
            }
        })
    }
}

/// A key that borrows what it names; hashes like a [`Key`].
struct Named<'a> {
    source: &'a str,
    id: &'a str,
}

impl Hash for Named<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.id.hash(state);
    }
}

impl Equivalent<Key> for Named<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.id == key.id && self.source == key.source
    }
}
