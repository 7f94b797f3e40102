//! The models as the protocol's requests name them, ask after them and call them.

use std::time::{Duration, Instant};

use actix_web::rt::time::timeout;
use ml_core::{CallOptions, Timings, WhenFull};

use super::inputs::Contract;
use super::{Refusal, VERSION};
use crate::ApiError;
use crate::onnx::TensorModel;
use crate::served::within;
use crate::state::State;
use crate::tensors::Tensors;

/// The longest that a readiness check may take: probes of common orchestrators give up soon after.
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
    pub fn of<'a>(&'a self, state: &'a State) -> Result<(&'a TensorModel, Contract<'a>), Refusal> {
        let unknown = || ApiError::UnknownModel { name: self.model.clone(), known: String::new() };
        let tensors = state.model(&self.model)?.served.tensors().ok_or_else(unknown)?;
        if let Some(version) = self.version.as_ref().filter(|version| *version != VERSION) {
            let (name, version) = (self.model.clone(), version.clone());
            return Err(Refusal(ApiError::UnknownVersion { name, version }));
        }
        let rows_max = state.limits.call_items_max;
        Ok((tensors, Contract { name: &self.model, pipeline: tensors.pipeline(), rows_max }))
    }
}

/// Makes every model prove that it works.
pub(crate) async fn all_ready(state: &State) -> Result<(), ApiError> {
    for name in state.models.keys() {
        ready(state, name).await?;
    }
    Ok(())
}

/// Makes a model prove that it works, while the server takes requests at all.
pub(crate) async fn ready(state: &State, name: &str) -> Result<(), ApiError> {
    if state.is_draining() {
        return Err(ApiError::NotReady { reason: "the server is shutting down".to_owned() });
    }
    let checked = state.model(name)?.served.check(within(CHECK_TIMEOUT, WhenFull::Refuse));
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
    model: &TensorModel,
    inputs: Tensors,
    options: CallOptions,
) -> Result<(Tensors, Timings), Refusal> {
    let calling = model.infer(inputs, options);
    let answer = match options.deadline {
        None => Ok(calling.await),
        Some(deadline) => timeout(deadline.saturating_duration_since(Instant::now()), calling).await,
    };
    let late = |_| ApiError::Engine(ml_core::Error::DeadlineExceeded);
    Ok(answer.map_err(late)?.map_err(ApiError::Engine)?)
}
