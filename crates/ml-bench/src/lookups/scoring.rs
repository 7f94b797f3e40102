//! The pipeline of the cases: a row of numbers, one of them looked up, scored by a small network in plain Rust.

use ml_core::{Engine, EngineBuilder, Facts, Key, Lookup, ModelError, Pipeline, Rejection, Source};

use super::remote::value;

const FEATURES: usize = 32;
const HIDDEN: usize = 64;

/// Items of a call in the cases that are about batches.
pub(super) const ITEMS: usize = 256;

/// Distinct keys among them.
pub(super) const KEYS: usize = 64;

/// An item: its number, and the identifier of its fact.
pub(super) type Item = (usize, String);

/// Scores rows; with `looks_up`, one number of a row comes from the source `facts`, else it is computed.
pub(super) struct Scoring {
    looks_up: bool,
}

impl Pipeline for Scoring {
    type Input = Item;
    type Features = [f32; FEATURES];
    type Prediction = f32;
    type Output = f32;

    fn validate(&self, _: &Item) -> Result<(), Rejection> {
        Ok(())
    }

    fn lookups(&self, (_, id): &Item) -> Vec<Key> {
        vec![Key::new("facts", id)]
    }

    fn clean(&self, (number, id): Item, facts: &Facts) -> Result<[f32; FEATURES], Rejection> {
        let fact = if self.looks_up { facts.of::<f32>("facts", &id).copied() } else { Some(value(&id)) };
        let fact = fact.ok_or_else(|| Rejection::new("id", "known"))?;
        Ok(std::array::from_fn(|index| if index == 0 { fact } else { (number * index % 97) as f32 }))
    }

    fn predict_batch(&self, batch: &[[f32; FEATURES]]) -> Result<Vec<f32>, ModelError> {
        Ok(batch.iter().map(score).collect())
    }

    fn format(&self, score: f32) -> f32 {
        score
    }
}

/// Two layers whose weights are made of their places: what they are makes no difference to the time.
fn score(row: &[f32; FEATURES]) -> f32 {
    let unit = |unit: usize| {
        let weighed =
            row.iter().enumerate().map(|(place, number)| number * ((place * unit % 13) as f32 - 6.0));
        weighed.sum::<f32>().max(0.0) * ((unit % 7) as f32 - 3.0)
    };
    (0..HIDDEN).map(unit).sum()
}

/// An engine whose items look one fact up.
pub(super) fn with_lookups<L: Lookup>(source: Source<L>) -> Engine<Scoring> {
    builder(true).lookup("facts", source).start()
}

/// The same engine, whose items look nothing up.
pub(super) fn without_lookups() -> Engine<Scoring> {
    builder(false).start()
}

fn builder(looks_up: bool) -> EngineBuilder<Scoring> {
    Engine::builder(Scoring { looks_up })
}

/// A call's items; those of other rounds are other items.
pub(super) fn items(round: usize) -> Vec<Item> {
    (0..ITEMS).map(|number| (round * ITEMS + number, format!("key {}", number % KEYS))).collect()
}

/// Runs a call; returns how many of its items failed.
pub(super) fn failed(engine: &Engine<Scoring>, items: Vec<Item>) -> usize {
    engine.predict_many_blocking(items).iter().filter(|result| result.is_err()).count()
}
