//! A served model of a ready-made task, as the protocols for that task call it: typed items in, all answers or one refusal out.

use std::marker::PhantomData;
use std::sync::Arc;

use ml_core::{Engine, Pipeline, Timings, WhenFull};
use ml_tasks::Content;
use serde::Deserialize;

use crate::ApiError;
use crate::served::{Served, TypedModel};
use crate::state::{Held, Limits, Model, State};
use crate::wishes::{Wishes, in_time};

/// A model whose pipeline is `P`, held for as long as a request needs it.
pub(crate) struct Ready<P: Pipeline> {
    pub model: Held,
    pipeline: PhantomData<P>,
}

/// Why a call of several inputs has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{}{error}", input.map(|index| format!("input[{index}]: ")).unwrap_or_default())]
pub(crate) struct InputError {
    /// Which of several inputs is at fault, where one is.
    pub input: Option<usize>,
    pub error: ApiError,
}

impl From<ApiError> for InputError {
    fn from(error: ApiError) -> Self {
        Self { input: None, error }
    }
}

/// One input, or several in an array.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, an array of token numbers, or an array of several of these")]
pub(crate) enum Inputs {
    One(Content),
    Many(Vec<Content>),
}

impl Inputs {
    /// Returns the inputs, within limits.
    ///
    /// # Errors
    /// When there are none, too many, or one that is too large.
    pub fn checked(self, limits: Limits) -> Result<Vec<Content>, InputError> {
        let inputs = match self {
            // What an empty array is meant to be an array of cannot be told.
            Self::One(Content::Tokens(tokens)) if tokens.is_empty() => Vec::new(),
            Self::One(input) => vec![input],
            Self::Many(inputs) => inputs,
        };
        check_count(inputs.len(), limits)?;
        check_bytes(inputs.iter().map(bytes), limits)?;
        Ok(inputs)
    }
}

fn bytes(content: &Content) -> usize {
    match content {
        Content::Text(text) => text.len(),
        Content::Tokens(tokens) => size_of_val(&**tokens),
    }
}

/// Refuses a call of too many items, and one of none.
pub(crate) fn check_count(items: usize, limits: Limits) -> Result<(), ApiError> {
    let limit_items = limits.call_items_max;
    match items {
        0 => Err(ApiError::EmptyBatch { limit_items }),
        items if items > limit_items => Err(ApiError::TooManyItems { items, limit_items }),
        _ => Ok(()),
    }
}

/// Refuses a call with an item that is too large.
pub(crate) fn check_bytes(sizes: impl Iterator<Item = usize>, limits: Limits) -> Result<(), InputError> {
    let limit_bytes = limits.item_bytes_max;
    let mut large = sizes.enumerate().filter(|(_, bytes)| *bytes > limit_bytes);
    match large.next() {
        Some((index, bytes)) => {
            Err(InputError { input: Some(index), error: ApiError::ItemTooLarge { bytes, limit_bytes } })
        }
        None => Ok(()),
    }
}

impl<P: Pipeline> Ready<P> {
    /// Finds a model by its name; without one, the only model of the task.
    ///
    /// # Errors
    /// When there is none, when it is for something else, or when several could be meant.
    pub fn find(state: &State, name: Option<&str>, task: &'static str) -> Result<Self, ApiError> {
        let Some(name) = name else { return Self::only(state, task) };
        let model = state.models.find(name, None)?;
        match engine_of::<P>(&*model.served) {
            Some(_) => Ok(Self { model, pipeline: PhantomData }),
            None => {
                Err(ApiError::WrongTask { message: format!("the model {:?} is not for {task}", model.name) })
            }
        }
    }

    fn only(state: &State, task: &'static str) -> Result<Self, ApiError> {
        let mut models = Self::all(state);
        match (models.pop(), models.is_empty()) {
            (Some(model), true) => Ok(Self { model: Held::new(&model), pipeline: PhantomData }),
            (None, _) => {
                Err(ApiError::UnknownModel { name: task.to_owned(), known: "no model for it".to_owned() })
            }
            (Some(last), false) => {
                let names: Vec<&str> =
                    models.iter().chain([&last]).map(|model| model.name.as_str()).collect();
                let message = format!("several models are for {task}; name one of {}", names.join(", "));
                Err(ApiError::WrongTask { message })
            }
        }
    }

    /// Returns every model of the task.
    pub fn all(state: &State) -> Vec<Arc<Model>> {
        let mut models = state.models.latest();
        models.retain(|model| engine_of::<P>(&*model.served).is_some());
        models
    }

    /// Predicts all items, and stops waiting at the deadline.
    ///
    /// # Errors
    /// That of the first item that has no answer, with its place where there are several.
    pub async fn call(
        &self,
        items: Vec<P::Input>,
        wishes: Wishes,
    ) -> Result<(Vec<P::Output>, Timings), InputError> {
        let missing = || ApiError::Unloaded { name: self.model.name.clone() };
        let engine = engine_of::<P>(&*self.model.served).ok_or_else(missing)?;
        let several = items.len() > 1;
        let calling = engine.call(items, wishes.options(WhenFull::Refuse));
        let answer = in_time(wishes.deadline, calling).await?;
        let output = |(index, result): (usize, Result<P::Output, ml_core::Error>)| {
            result.map_err(|error| {
                let error = ApiError::Engine(error);
                InputError { input: (several && !error.concerns_call()).then_some(index), error }
            })
        };
        let outputs = answer.results.into_iter().enumerate().map(output);
        Ok((outputs.collect::<Result<_, _>>()?, answer.timings))
    }
}

/// Returns the engine of a model, where its pipeline is `P`.
fn engine_of<P: Pipeline>(served: &dyn Served) -> Option<&Engine<P>> {
    served.any().downcast_ref::<TypedModel<P>>().map(TypedModel::engine)
}
