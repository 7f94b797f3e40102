//! A pipeline that the test holds by the hand: what each item does is written in the item.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod desk;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ml_core::{
    Engine, EngineBuilder, Facts, Key, Model, ModelError, Pipeline, Rejection, ThreadPlan, ThreadWishes,
};

/// Far longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What an item is to do on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Item {
    /// Be doubled.
    Good(i64),
    /// Be doubled after its fact was added.
    WithFact(i64, &'static str, &'static str),
    /// Weigh this much in a batch.
    Heavy(usize),
    /// Be refused by `validate`.
    Invalid,
    /// Be refused by `clean`.
    Unclean,
    /// Panic in the stage of this name.
    Panics(&'static str),
    /// Make every batch that it is in fail.
    Guilty,
    /// Panic where the runner is done with it.
    Bomb(i64),
}

/// An item as the model eats it.
pub struct Prepared(Item);

impl Drop for Prepared {
    fn drop(&mut self) {
        if matches!(self.0, Item::Bomb(_))
            && std::thread::current().name().is_some_and(|name| name.starts_with("runner"))
        {
            panic!("scripted panic in the runner");
        }
    }
}

/// Counts what reaches the model, and runs a batch only when the gate lets it.
#[derive(Clone, Default)]
pub struct Scripted {
    pub cleaned_on: Arc<Mutex<Vec<String>>>,
    pub computed: Arc<AtomicUsize>,
    pub gate: Option<Gate>,
    pub forget_predictions: bool,
    /// What it says that it runs.
    pub model: Option<Model>,
}

/// Each batch announces itself and waits until the test lets it pass.
#[derive(Clone)]
pub struct Gate {
    arrived: Sender<Vec<Item>>,
    pass: Arc<Mutex<Receiver<()>>>,
}

/// The test's end of a gate.
pub struct GateKeeper {
    pub arrived: Receiver<Vec<Item>>,
    pass: Sender<()>,
}

impl GateKeeper {
    /// Waits for the next batch to arrive at the model, and returns its items.
    pub fn next_batch(&self) -> Vec<Item> {
        self.arrived.recv().expect("a batch arrives")
    }

    pub fn let_pass(&self) {
        self.pass.send(()).expect("the model waits");
    }
}

pub fn gate() -> (Gate, GateKeeper) {
    let (arrived, arrivals) = channel();
    let (pass, passes) = channel();
    (Gate { arrived, pass: Arc::new(Mutex::new(passes)) }, GateKeeper { arrived: arrivals, pass })
}

/// An engine of one runner, so that what waits is what the test put there.
pub fn one_runner(pipeline: Scripted) -> EngineBuilder<Scripted> {
    Engine::builder(pipeline).threads(ThreadPlan::for_cpus(1, ThreadWishes::default()))
}

impl Scripted {
    fn stage(&self, stage: &str, item: &Item) {
        if matches!(item, Item::Panics(at) if *at == stage) {
            panic!("scripted panic in {stage}");
        }
    }
}

impl Pipeline for Scripted {
    type Input = Item;
    type Features = Prepared;
    type Prediction = Item;
    type Output = i64;

    fn validate(&self, item: &Item) -> Result<(), Rejection> {
        self.stage("validate", item);
        if *item == Item::Invalid { Err(Rejection::new("item", "valid")) } else { Ok(()) }
    }

    fn lookups(&self, item: &Item) -> Vec<Key> {
        match item {
            Item::WithFact(_, source, id) => vec![Key::new(source, id)],
            _ => Vec::new(),
        }
    }

    fn clean(&self, item: Item, facts: &Facts) -> Result<Prepared, Rejection> {
        self.stage("clean", &item);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        self.cleaned_on.lock().expect("no test panics here").push(thread);
        match item {
            Item::Unclean => Err(Rejection::new("item", "clean")),
            Item::WithFact(number, source, id) => {
                let fact = facts.get::<i64>(&Key::new(source, id)).copied().unwrap_or(-1000);
                Ok(Prepared(Item::Good(number + fact)))
            }
            item => Ok(Prepared(item)),
        }
    }

    fn predict_batch(&self, batch: &[Prepared]) -> Result<Vec<Item>, ModelError> {
        let batch: Vec<Item> = batch.iter().map(|prepared| prepared.0.clone()).collect();
        if let Some(gate) = &self.gate {
            gate.arrived.send(batch.clone()).map_err(ModelError::new)?;
            // A test that failed lets nothing pass any more; its runner must end all the same.
            gate.pass.lock().expect("no test panics here").recv_timeout(PATIENCE).map_err(ModelError::new)?;
        }
        batch.iter().for_each(|item| self.stage("predict", item));
        if batch.contains(&Item::Guilty) {
            return Err(ModelError::new("there is a guilty item in the batch"));
        }
        self.computed.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(if self.forget_predictions { Vec::new() } else { batch })
    }

    fn format(&self, item: Item) -> i64 {
        self.stage("format", &item);
        match item {
            Item::Good(number) => number * 2,
            Item::Heavy(cost) => i64::try_from(cost).expect("small"),
            _ => 0,
        }
    }

    fn models(&self) -> Vec<&Model> {
        self.model.iter().collect()
    }

    fn cost(&self, prepared: &Prepared) -> usize {
        if let Item::Heavy(cost) = &prepared.0 { *cost } else { 1 }
    }
}
