//! Sequences that are under way: requests of one go one after the other, each with the states that the one before left.
//!
//! A request of a sequence is an item like any other, with its controls and states among its tensors. So requests of many
//! sequences share batches, and nothing is tied to a runner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ml_core::{CallOptions, ElementType, Timings};
use tokio::sync::Mutex as Turn;

use super::TensorModel;
use crate::ApiError;
use crate::repository::sequence::{Flag, Plan, Says, Source};
use crate::tensors::{RawTensor, Tensors, as_bytes};

/// What a caller calls a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identifier {
    Number(u64),
    Text(String),
}

impl std::fmt::Display for Identifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Where in which sequence a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub sequence: Identifier,
    pub start: bool,
    pub end: bool,
}

/// The sequences of a model.
#[derive(Debug)]
pub(crate) struct Sequences {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    sequences: HashMap<Identifier, Arc<Sequence>>,
    /// When those that nobody used any more were last looked for.
    swept: Instant,
}

#[derive(Debug)]
struct Sequence {
    used: Mutex<Instant>,
    /// What the last request left; `None` before the first. Who holds it has its turn.
    states: Turn<Option<Vec<RawTensor>>>,
}

impl Sequences {
    pub fn new(most: usize) -> Self {
        Self { most, held: Mutex::new(Held { sequences: HashMap::new(), swept: Instant::now() }) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a sequence, or finds the one that was begun.
    fn enter(&self, model: &str, at: &Position, idle_max: Duration) -> Result<Arc<Sequence>, ApiError> {
        let mut held = self.held();
        if !at.start {
            let sequence = held.sequences.get(&at.sequence).filter(|sequence| !sequence.is_over(idle_max));
            return sequence.cloned().ok_or_else(|| ApiError::InvalidTensors {
                message: format!(
                    "inference request for sequence {} to model '{model}' must specify the START flag on the first \
                     request of the sequence",
                    at.sequence
                ),
            });
        }
        if held.sequences.len() >= self.most || held.swept.elapsed() > idle_max {
            held.sequences.retain(|_, sequence| !sequence.is_over(idle_max));
            held.swept = Instant::now();
        }
        // One that is begun again takes the place of what was under its name.
        if held.sequences.len() >= self.most && !held.sequences.contains_key(&at.sequence) {
            return Err(ApiError::TooManySequences { limit_sequences: self.most });
        }
        let begun = Arc::new(Sequence { used: Mutex::new(Instant::now()), states: Turn::new(None) });
        held.sequences.insert(at.sequence.clone(), Arc::clone(&begun));
        Ok(begun)
    }

    /// Ends a sequence, unless another has taken its name.
    fn leave(&self, identifier: &Identifier, sequence: &Arc<Sequence>) {
        let mut held = self.held();
        if held.sequences.get(identifier).is_some_and(|held| Arc::ptr_eq(held, sequence)) {
            held.sequences.remove(identifier);
        }
    }
}

impl Sequence {
    /// Whether nobody has used it for so long, and nobody does now.
    fn is_over(self: &Arc<Self>, idle_max: Duration) -> bool {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(self) == 1 && used.elapsed() > idle_max
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Answers the next request of a sequence, when those before it are answered. One that fails leaves the states as they were.
///
/// # Errors
/// When the sequence was not begun, there are too many, or the model has no answer.
pub(crate) async fn step(
    (name, model, plan): (&str, &TensorModel, &Plan),
    given: Tensors,
    at: &Position,
    options: CallOptions,
) -> Result<(Tensors, Timings), ApiError> {
    let sequences = model.sequences();
    let sequence = sequences.enter(name, at, plan.idle_max)?;
    let answer = {
        let mut states = sequence.states.lock().await;
        let rows = if model.pipeline().batched() { given.rows() } else { 1 };
        let inputs = inputs(plan, model, given, states.as_deref(), at, rows)?;
        let (outputs, timings) = model.infer(inputs, options).await?;
        let (shown, left) = split(plan, &outputs);
        *states = Some(left);
        (shown, timings)
    };
    sequence.touch();
    if at.end {
        sequences.leave(&at.sequence, &sequence);
    }
    Ok(answer)
}

/// Puts the graph's inputs together.
fn inputs(
    plan: &Plan,
    model: &TensorModel,
    given: Tensors,
    states: Option<&[RawTensor]>,
    at: &Position,
    rows: usize,
) -> Result<Tensors, ApiError> {
    let batched = model.pipeline().batched();
    let mut given = given.0.iter();
    let tensors = plan.inputs.iter().map(|source| match source {
        Source::Caller => given.next().cloned().ok_or_else(|| invalid("an input is missing".to_owned())),
        Source::Flag(flag) => Ok(flagged(flag, at, sizes(flag.rank, batched, rows))),
        Source::Identifier(element, rank) => identified(*element, &at.sequence, sizes(*rank, batched, rows)),
        Source::State(place) => state(plan, states, *place, batched.then_some(rows)),
    });
    Ok(Tensors(tensors.collect::<Result<_, ApiError>>()?))
}

fn invalid(message: String) -> ApiError {
    ApiError::InvalidTensors { message }
}

/// One value a row, however many sizes that takes.
fn sizes(rank: usize, batched: bool, rows: usize) -> Vec<usize> {
    let mut sizes = vec![1; rank];
    if let Some(first) = sizes.first_mut().filter(|_| batched) {
        *first = rows;
    }
    sizes
}

fn flagged(flag: &Flag, at: &Position, sizes: Vec<usize>) -> RawTensor {
    let says = match flag.says {
        Says::Start => at.start,
        Says::End => at.end,
        Says::Ready => true,
    };
    let value = if says { &flag.yes } else { &flag.no };
    let count: usize = sizes.iter().product();
    RawTensor::numbers(flag.element, sizes, value.repeat(count).into())
}

fn identified(
    element: ElementType,
    identifier: &Identifier,
    sizes: Vec<usize>,
) -> Result<RawTensor, ApiError> {
    let count: usize = sizes.iter().product();
    let unfit = || invalid(format!("the correlation ID {identifier} does not fit the model's {element}"));
    let bytes: Bytes = match (element, identifier) {
        (ElementType::String, identifier) => {
            return Ok(RawTensor::texts(sizes, vec![identifier.to_string().into_bytes(); count]));
        }
        (ElementType::U64, Identifier::Number(number)) => as_bytes(vec![*number; count]),
        (ElementType::I64, Identifier::Number(number)) => {
            as_bytes(vec![i64::try_from(*number).map_err(|_| unfit())?; count])
        }
        (ElementType::U32, Identifier::Number(number)) => {
            as_bytes(vec![u32::try_from(*number).map_err(|_| unfit())?; count])
        }
        (ElementType::I32, Identifier::Number(number)) => {
            as_bytes(vec![i32::try_from(*number).map_err(|_| unfit())?; count])
        }
        _ => return Err(unfit()),
    };
    Ok(RawTensor::numbers(element, sizes, bytes))
}

fn state(
    plan: &Plan,
    states: Option<&[RawTensor]>,
    place: usize,
    rows: Option<usize>,
) -> Result<RawTensor, ApiError> {
    let missing = || invalid("a state is missing".to_owned());
    let Some(states) = states else {
        let initial = plan.initial.get(place).ok_or_else(missing)?;
        return Ok(rows.map_or_else(|| initial.clone(), |rows| initial.repeated(rows)));
    };
    let state = states.get(place).ok_or_else(missing)?;
    match (rows, state.shape.first()) {
        (Some(rows), Some(had)) if rows != *had => {
            Err(invalid(format!("the request has {rows} rows, those of its sequence before it {had}")))
        }
        _ => Ok(state.clone()),
    }
}

/// Parts what callers get from what the next request gets.
fn split(plan: &Plan, outputs: &Tensors) -> (Tensors, Vec<RawTensor>) {
    let mut left: Vec<Option<RawTensor>> = vec![None; plan.initial.len()];
    let mut shown = Vec::new();
    for (sink, output) in plan.outputs.iter().zip(&*outputs.0) {
        if sink.caller {
            shown.push(output.clone());
        }
        if let Some(kept) = sink.state.and_then(|place| left.get_mut(place)) {
            // Of its own: a slice would keep its whole batch in memory as long as the sequence.
            *kept = Some(output.owned());
        }
    }
    (Tensors(shown.into()), left.into_iter().flatten().collect())
}
