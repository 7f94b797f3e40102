//! The model repository extension: what there is, and what is loaded of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::Refusal;
use super::json::{JsonError, Scanner};
use crate::ApiError;
use crate::config::ModelControl;
use crate::state::State;

/// One version of a model, or a model without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Indexed {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Lists what is and was served, and what lies in the repositories.
pub(crate) fn index(state: &State, ready_only: bool) -> Vec<Indexed> {
    let listed = state.models.index().into_iter().map(|listed| Indexed {
        name: listed.name,
        version: listed.version.map(|version| version.to_string()),
        state: Some(if listed.reason.is_none() { "READY" } else { "UNAVAILABLE" }),
        reason: listed.reason,
    });
    let mut listed: Vec<Indexed> = listed.filter(|listed| !ready_only || listed.reason.is_none()).collect();
    if ready_only {
        return listed;
    }
    let lying = state.repository.as_ref().and_then(|repository| repository.models().ok()).unwrap_or_default();
    for name in lying.into_keys() {
        if !listed.iter().any(|known| known.name == name) {
            listed.push(Indexed { name, version: None, state: None, reason: None });
        }
    }
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// Reads whether only what is ready is wanted.
///
/// # Errors
/// A body that is no object, or a `ready` that is no boolean.
pub(crate) fn wants_ready(body: &[u8]) -> Result<bool, Refusal> {
    let mut wanted = false;
    members(body, |scanner, name| {
        if name != "ready" {
            return Ok(scanner.skip()?);
        }
        let wrong = |_| Refusal::invalid("Invalid value for 'ready': expected a boolean");
        wanted = scanner.boolean().map_err(wrong)?;
        Ok(())
    })?;
    Ok(wanted)
}

/// What a request to load says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// A configuration as JSON, in the place of the model's own.
    pub config: Option<String>,
}

impl Asked {
    /// Reads the body.
    ///
    /// # Errors
    /// What is no JSON, and files that are sent along.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        members(body, |scanner, name| match name {
            "parameters" => scanner.object(|scanner, name| asked.parameter(scanner, name)),
            _ => Ok(scanner.skip()?),
        })?;
        Ok(asked)
    }

    fn parameter(&mut self, scanner: &mut Scanner<'_>, name: &str) -> Result<(), Broken> {
        if name == "config" {
            self.config = Some(scanner.string()?.into_owned());
            return Ok(());
        }
        if name.starts_with("file:") {
            return Err(Broken(no_files()));
        }
        Ok(scanner.skip()?)
    }
}

/// Files with a model in them are not taken from callers.
pub(crate) fn no_files() -> Refusal {
    Refusal(ApiError::Unsupported {
        message: "files of models are not taken with a request to load".to_owned(),
    })
}

/// A refusal, or what the scanner says.
pub(super) struct Broken(pub Refusal);

impl From<JsonError> for Broken {
    fn from(error: JsonError) -> Self {
        Self(Refusal::invalid(format!("failed to parse the request JSON buffer: {error}")))
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// Reads the members of a body, which may be empty.
pub(super) fn members(
    body: &[u8],
    member: impl FnMut(&mut Scanner<'_>, &str) -> Result<(), Broken>,
) -> Result<(), Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(());
    }
    let mut scanner = Scanner::new(body);
    scanner.object(member).map_err(|broken| broken.0)?;
    scanner.end().map_err(|error| Broken::from(error).0)
}

fn explicit(state: &State) -> Result<&crate::repository::Repository, Refusal> {
    let refused = "explicit model load / unload is not allowed if polling is enabled";
    let explicit =
        state.repository.as_ref().filter(|repository| repository.control() == ModelControl::Explicit);
    explicit.ok_or_else(|| Refusal(ApiError::NotControlled { message: refused.to_owned() }))
}

/// Loads a model, or loads it again. Blocks until it serves.
///
/// # Errors
/// When models are not controlled so, or this one cannot be loaded.
pub(crate) fn load(state: &State, name: &str, asked: &Asked) -> Result<(), Refusal> {
    Ok(explicit(state)?.load(&state.models, name, asked.config.as_deref())?)
}

/// Serves a model no longer; one that is not served is no error.
///
/// # Errors
/// When models are not controlled so.
pub(crate) fn unload(state: &State, name: &str) -> Result<(), Refusal> {
    explicit(state)?;
    state.models.unload(name);
    Ok(())
}
