//! The models as the protocol's requests name them, ask after them and call them.

use std::time::Duration;

use actix_web::rt::time::timeout;
use futures_util::future::try_join_all;
use ml_core::{CallOptions, Timings, WhenFull};

use super::Refusal;
use super::inputs::Contract;
use crate::ApiError;
use crate::onnx::TensorModel;
use crate::onnx::sequences::{self, Position};
use crate::served::within;
use crate::state::{Held, Model, State};
use crate::tensors::Tensors;
use crate::wishes::in_time;

/// The longest that a readiness check may take. Probes that give up earlier, as those of Kubernetes do unless told otherwise, take that for
/// a failure, too.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A model as a request names it.
pub(crate) struct Named {
    model: String,
    /// None for whichever is served.
    version: Option<String>,
}

impl Named {
    /// An empty version is none.
    pub fn new(model: String, version: &str) -> Self {
        Self { model, version: (!version.is_empty()).then(|| version.to_owned()) }
    }

    /// Returns the model, where it is one of tensors and has that version.
    ///
    /// # Errors
    /// When it is not there.
    pub fn of(&self, state: &State) -> Result<Found, Refusal> {
        let model = state.models.find(&self.model, self.version.as_deref())?;
        if model.served.tensors().is_none() {
            let (name, known) = (self.model.clone(), String::new());
            return Err(Refusal(ApiError::UnknownModel { name, known }));
        }
        Ok(Found(model))
    }

    /// Returns the versions to tell of: the one that is named, or all that are ready.
    pub fn versions(&self, state: &State) -> Vec<String> {
        self.version.clone().map_or_else(|| state.models.versions(&self.model), |version| vec![version])
    }
}

/// A model of tensors, held for as long as a request needs it.
pub(crate) struct Found(Held);

impl Found {
    /// The model, and what requests are checked against.
    ///
    /// # Errors
    /// When it is no model of tensors, which whoever found it has seen.
    pub fn parts(&self) -> Result<(&TensorModel, Contract<'_>), Refusal> {
        let missing = || ApiError::Unloaded { name: self.0.name.clone() };
        let tensors = self.0.served.tensors().ok_or_else(missing)?;
        Ok((tensors, Contract { name: &self.0.name, version: self.0.version, pipeline: tensors.pipeline() }))
    }

    /// Makes the model prove that it works.
    pub async fn ready(&self, state: &State) -> Result<(), ApiError> {
        ready(state, &self.0).await
    }
}

/// Makes every model prove that it works.
pub(crate) async fn all_ready(state: &State) -> Result<(), ApiError> {
    let models = state.models.all();
    // At once: one after the other, each might take as long as a probe has patience for all.
    try_join_all(models.iter().map(|model| ready(state, model))).await.map(drop)
}

/// Makes a model prove that it works, while the server takes requests at all.
pub(crate) async fn ready(state: &State, model: &Model) -> Result<(), ApiError> {
    if state.is_draining() {
        return Err(ApiError::NotReady { reason: "the server is shutting down".to_owned() });
    }
    let name = &model.name;
    let checked = model.served.check(within(CHECK_TIMEOUT, WhenFull::Refuse));
    let reason = match timeout(CHECK_TIMEOUT, checked).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => format!("{name}: {error}"),
        Err(_) => format!("{name}: no answer within {} ms", CHECK_TIMEOUT.as_millis()),
    };
    Err(ApiError::NotReady { reason })
}

/// Calls a model and stops waiting at the deadline.
///
/// # Errors
/// Why there is no answer.
pub(crate) async fn call(
    (name, model): (&str, &TensorModel),
    inputs: Tensors,
    position: Option<&Position>,
    options: CallOptions,
) -> Result<(Tensors, Timings), Refusal> {
    let calling = async {
        match (position, &model.pipeline().settled().plan) {
            (Some(at), Some(plan)) => {
                Box::pin(sequences::step((name, model, plan), inputs, at, options)).await
            }
            _ => Box::pin(model.infer(inputs, options)).await.map_err(ApiError::Engine),
        }
    };
    Ok(in_time(options.deadline, calling).await??)
}
