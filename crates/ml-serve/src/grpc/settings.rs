//! Shared memory, log and trace settings as messages.

use std::collections::HashMap;

use super::proto::log_settings_request::setting_value::ParameterChoice as Given;
use super::proto::log_settings_response::SettingValue as LogValue;
use super::proto::log_settings_response::setting_value::ParameterChoice as Shown;
use super::proto::system_shared_memory_status_response::RegionStatus;
use super::proto::trace_setting_response::SettingValue as TraceValue;
use super::proto::{LogSettingsRequest, LogSettingsResponse, TraceSettingRequest, TraceSettingResponse};
use crate::oip::Refusal;
use crate::oip::regions::Registered;
use crate::oip::settings::{Value, log as logging, trace as tracing};
use crate::state::State;

pub(super) fn regions(regions: Vec<Registered>) -> HashMap<String, RegionStatus> {
    let status = |region: Registered| {
        let Registered { name, key, offset, byte_size } = region;
        (name.clone(), RegionStatus { name, key, offset, byte_size })
    };
    regions.into_iter().map(status).collect()
}

/// Changes trace settings where there are any, and answers all of them.
pub(super) fn trace(state: &State, asked: TraceSettingRequest) -> Result<TraceSettingResponse, Refusal> {
    let TraceSettingRequest { settings, model_name } = asked;
    let change = |(name, value): (String, super::proto::trace_setting_request::SettingValue)| {
        (name, if value.value.is_empty() { Value::Cleared } else { Value::Texts(value.value) })
    };
    tracing::change(state, &model_name, &settings.into_iter().map(change).collect())?;
    let settings = tracing::settings(state, &model_name)?.into_iter();
    let settings = settings.map(|(name, value)| (name.to_owned(), TraceValue { value })).collect();
    Ok(TraceSettingResponse { settings })
}

/// Changes log settings where there are any, and answers all of them.
pub(super) fn log(state: &State, asked: LogSettingsRequest) -> Result<LogSettingsResponse, Refusal> {
    let changes = asked.settings.into_iter().map(|(name, value)| {
        let value = match value.parameter_choice {
            Some(Given::BoolParam(flag)) => Value::Bool(flag),
            Some(Given::Uint32Param(number)) => Value::Whole(number.into()),
            Some(Given::StringParam(text)) => Value::Texts(vec![text]),
            None => Value::Cleared,
        };
        (name, value)
    });
    logging::change(state, &changes.collect())?;
    let settings = logging::settings().into_iter().map(|(name, value)| {
        let choice = match value {
            logging::Shown::Bool(flag) => Shown::BoolParam(flag),
            logging::Shown::Whole(number) => Shown::Uint32Param(number),
            logging::Shown::Text(text) => Shown::StringParam(text.to_owned()),
        };
        (name.to_owned(), LogValue { parameter_choice: Some(choice) })
    });
    Ok(LogSettingsResponse { settings: settings.collect() })
}
