//! What the tests of sources share: a pipeline whose answer is its fact, real servers, and ones that misbehave.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod broken;
pub mod certificates;
pub mod server;
pub mod service;

use ml_core::{
    Engine, EngineBuilder, Facts, Key, Lookup, ModelError, Pipeline, Rejection, Source, ThreadPlan,
};
use ml_core::{ThreadWishes, TierOptions};

/// Answers each identifier with the fact that it names, and a number that makes items distinct.
pub struct Echo;

impl Pipeline for Echo {
    type Input = (String, usize);
    type Features = Option<String>;
    type Prediction = Option<String>;
    type Output = Option<String>;

    fn validate(&self, _: &Self::Input) -> Result<(), Rejection> {
        Ok(())
    }

    fn lookups(&self, (id, _): &Self::Input) -> Vec<Key> {
        vec![Key::new("facts", id)]
    }

    fn clean(&self, (id, _): Self::Input, facts: &Facts) -> Result<Option<String>, Rejection> {
        Ok(facts.of::<String>("facts", &id).cloned())
    }

    fn predict_batch(&self, batch: &[Option<String>]) -> Result<Vec<Option<String>>, ModelError> {
        Ok(batch.to_vec())
    }

    fn format(&self, fact: Option<String>) -> Option<String> {
        fact
    }
}

pub fn builder() -> EngineBuilder<Echo> {
    Engine::builder(Echo).threads(ThreadPlan::for_cpus(1, ThreadWishes::default())).share_in_flight(false)
}

pub fn engine<L: Lookup<Value = String>>(source: impl Into<Source<L>>) -> Engine<Echo> {
    builder().lookup("facts", source).start()
}

/// Asks for the fact `id`; what comes back is that fact, or the text of the error.
pub fn ask(engine: &Engine<Echo>, id: &str) -> Result<Option<String>, String> {
    engine.predict_blocking((id.to_owned(), 0)).map_err(|error| error.to_string())
}

/// Patience with the tier that no slow machine exhausts, where a test is not about time.
pub fn patient(prefix: impl Into<Vec<u8>>, schema: u32) -> TierOptions {
    TierOptions { budget: std::time::Duration::from_secs(60), ..TierOptions::new(prefix, schema) }
}
