//! Lookups: external facts that an item needs before it can be cleaned, asked for once per call.
//!
//! A pipeline names keys, a source answers many keys at once. The engine gathers the keys of all items of a
//! call, removes duplicates, and asks each source once.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::Error;

/// Names one fact: the source that knows it, and the identifier there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The name that the source was given when the engine was built.
    pub source: &'static str,
    /// What to ask that source for.
    pub id: String,
}

impl Key {
    /// Names the fact `id` of `source`.
    pub fn new(source: &'static str, id: impl Display) -> Self {
        Self { source, id: id.to_string() }
    }
}

/// A source of external facts: a feature store, a user service, a price list.
///
/// ```
/// use ml_core::{Lookup, LookupError};
///
/// struct Prices;
///
/// impl Lookup for Prices {
///     type Value = f32;
///
///     async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<f32>>, LookupError> {
///         Ok(ids.iter().map(|id| (id == "apple").then_some(0.4)).collect())
///     }
/// }
/// ```
pub trait Lookup: Send + Sync + 'static {
    /// What the source knows about one identifier.
    type Value: Send + Sync + 'static;

    /// Fetches the values of many identifiers, which are distinct and never none; `None` where there is none.
    ///
    /// Returns one entry for each identifier, in order.
    ///
    /// # Errors
    /// A [`LookupError`] fails the items of the call that named a key of this source, and no others.
    fn fetch_many(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<Option<Self::Value>>, LookupError>> + Send;
}

/// Says why a source could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LookupError {
    /// What went wrong, for the caller and the log.
    pub reason: String,
}

impl LookupError {
    /// Makes an error from anything that can say what went wrong.
    pub fn new(reason: impl Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

type Fact = Box<dyn Any + Send + Sync>;
type Fetched = Result<Vec<Option<Fact>>, LookupError>;

/// The facts of one call, by key. Empty for a pipeline that names none.
#[derive(Default)]
pub struct Facts {
    known: HashMap<Key, Fact>,
    failed: HashMap<&'static str, LookupError>,
}

impl Facts {
    /// Returns the fact that `key` names, or `None` where the source knows none (or holds another type).
    pub fn get<V: 'static>(&self, key: &Key) -> Option<&V> {
        self.known.get(key)?.downcast_ref()
    }

    /// Says why a fact that one of `keys` names could not be had, if so.
    pub(crate) fn failure(&self, keys: &[Key]) -> Option<Error> {
        let (key, error) = keys.iter().find_map(|key| Some((key, self.failed.get(key.source)?)))?;
        Some(Error::LookupFailed { source_name: key.source.to_owned(), reason: error.reason.clone() })
    }
}

/// A [`Lookup`] whose value type is forgotten, so that an engine can hold several.
trait Source: Send + Sync {
    fn fetch<'a>(&'a self, ids: &'a [String]) -> Pin<Box<dyn Future<Output = Fetched> + Send + 'a>>;
}

impl<L: Lookup> Source for L {
    fn fetch<'a>(&'a self, ids: &'a [String]) -> Pin<Box<dyn Future<Output = Fetched> + Send + 'a>> {
        Box::pin(async move {
            let values = self.fetch_many(ids).await?;
            if values.len() != ids.len() {
                let (got, asked) = (values.len(), ids.len());
                return Err(LookupError::new(format!("{got} values for {asked} keys")));
            }
            Ok(values.into_iter().map(|value| value.map(|value| Box::new(value) as Fact)).collect())
        })
    }
}

/// The sources of one engine, by name.
#[derive(Clone, Default)]
pub(crate) struct Sources(BTreeMap<&'static str, Arc<dyn Source>>);

impl Sources {
    pub(crate) fn add(&mut self, name: &'static str, source: impl Lookup) {
        self.0.insert(name, Arc::new(source));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks each source once for the distinct keys that are its own.
    pub(crate) async fn gather(&self, keys: impl Iterator<Item = Key>) -> Facts {
        let mut wanted: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let distinct: BTreeSet<Key> = keys.collect();
        for key in distinct {
            wanted.entry(key.source).or_default().push(key.id);
        }
        let fetched = wanted.into_iter().map(|(name, ids)| async move {
            let values = self.fetch(name, &ids).await;
            (name, ids, values)
        });
        let mut facts = Facts::default();
        for (source, ids, values) in join_all(fetched).await {
            match values {
                Ok(values) => facts.known.extend(
                    ids.into_iter().zip(values).filter_map(|(id, value)| Some((Key { source, id }, value?))),
                ),
                Err(error) => {
                    facts.failed.insert(source, error);
                }
            }
        }
        facts
    }

    async fn fetch(&self, name: &str, ids: &[String]) -> Fetched {
        match self.0.get(name) {
            Some(source) => source.fetch(ids).await,
            None => Err(LookupError::new("no source of this name was added to the engine")),
        }
    }
}
