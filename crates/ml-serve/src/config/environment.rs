//! Variables of the environment, read into what they give.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::error::{ConfigError, Origin, Problem, did_you_mean};
use super::nearest::nearest;
use super::setting::Given;
use super::{SETTINGS, form};

const PREFIX: &str = "ML_SERVE_";
const CONFIG: &str = "ML_SERVE_CONFIG";

/// What the environment gives.
pub(super) struct Environment {
    pub(super) given: Vec<Given>,
    pub(super) config: Option<PathBuf>,
}

/// Reads the variables that begin with `ML_SERVE_`, and `PORT`, which platforms set.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Environment, ConfigError> {
    let ours = |(name, text): (OsString, OsString)| {
        let name = name.to_string_lossy().into_owned();
        (name == "PORT" || name.starts_with(PREFIX)).then_some((name, text))
    };
    // Sorted, so that of two wrong variables the same one is always reported.
    let mut variables: BTreeMap<_, _> = variables.into_iter().filter_map(ours).collect();
    if variables.contains_key("ML_SERVE_PORT") {
        variables.remove("PORT");
    }
    let config = variables.remove(CONFIG).map(|text| {
        form::path("config", &text).map_err(|problem| Origin::Environment(CONFIG.to_owned()).refuse(problem))
    });
    let given = variables.into_iter().map(give).collect::<Result<_, _>>()?;
    Ok(Environment { given, config: config.transpose()? })
}

fn give((name, text): (String, OsString)) -> Result<Given, ConfigError> {
    let ours = if name == "PORT" { "ML_SERVE_PORT" } else { name.as_str() };
    match SETTINGS.iter().find(|setting| setting.environment() == ours) {
        Some(setting) => Ok(Given { setting, origin: Origin::Environment(name), text }),
        None => Err(unknown(name)),
    }
}

fn unknown(name: String) -> ConfigError {
    let key = name.strip_prefix(PREFIX).unwrap_or(&name);
    let keys = SETTINGS.iter().map(|setting| setting.key).chain(["config"]);
    let hint = if key.starts_with("SERVICE_") || key.starts_with("PORT_") {
        Some("Kubernetes sets it for a Service named ml-serve, unless enableServiceLinks is false".into())
    } else {
        nearest(key, keys).map(|key| did_you_mean(format!("{PREFIX}{}", key.to_uppercase())))
    };
    Origin::Environment(name).refuse(Problem::Unknown { key: None, hint })
}
