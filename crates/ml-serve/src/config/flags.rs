//! Flags and positional arguments, read into what they give.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use super::error::{ConfigError, Origin, Problem, did_you_mean};
use super::nearest::nearest;
use super::setting::{Given, Setting};
use super::{ModelEntry, ModelTask, SETTINGS, form};

/// What the command line asks for.
pub(super) enum CommandLine {
    Serve(Flags),
    Help,
    Version,
}

/// What the command line gives.
#[derive(Default)]
pub(super) struct Flags {
    pub(super) given: Vec<Given>,
    pub(super) config: Option<PathBuf>,
    pub(super) models: Vec<ModelEntry>,
}

/// Reads the arguments in order; the first `--help` or `--version` ends the reading.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<CommandLine, ConfigError> {
    let mut parser = Parser::from_args(args);
    let mut flags = Flags::default();
    while let Some(arg) = parser.next().map_err(|error| not_understood(&error))? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(CommandLine::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(CommandLine::Version),
            Arg::Short(letter) => return Err(unknown(format!("-{letter}"))),
            Arg::Value(path) => flags.add_model(&path)?,
            Arg::Long(name) => {
                let flag = format!("--{name}");
                flags.add_flag(flag, &mut parser)?;
            }
        }
    }
    Ok(CommandLine::Serve(flags))
}

impl Flags {
    fn add_model(&mut self, path: &OsStr) -> Result<(), ConfigError> {
        let path = form::path("model", path).map_err(|problem| Origin::Arguments.refuse(problem))?;
        self.models.push(ModelEntry { path, name: None, variant: None, task: ModelTask::default() });
        Ok(())
    }

    fn add_flag(&mut self, flag: String, parser: &mut Parser) -> Result<(), ConfigError> {
        let setting = SETTINGS.iter().find(|setting| setting.flag() == flag);
        let (key, takes) = match setting {
            Some(setting) => (setting.key, setting.takes()),
            None if flag == "--config" => ("config", form::PATH.to_owned()),
            None => return Err(unknown(flag)),
        };
        let origin = Origin::Flag(flag);
        let Ok(text) = parser.value() else {
            return Err(origin.refuse(Problem::NoValue { key, takes }));
        };
        match (setting, self.earlier(setting)) {
            (_, Some(first)) => {
                Err(origin.refuse(Problem::Twice { first, second: text.to_string_lossy().into_owned() }))
            }
            (Some(setting), None) => {
                self.given.push(Given { setting, origin, text });
                Ok(())
            }
            (None, None) => {
                self.config = Some(form::path(key, &text).map_err(|problem| origin.refuse(problem))?);
                Ok(())
            }
        }
    }

    /// Returns the value that stands already, of the setting or else of `--config`.
    fn earlier(&self, setting: Option<&Setting>) -> Option<String> {
        let text = match setting {
            Some(setting) => {
                let same = |given: &&Given| given.setting.key == setting.key;
                self.given.iter().find(same).map(|given| given.text.as_os_str())
            }
            None => self.config.as_ref().map(|path| path.as_os_str()),
        };
        text.map(|text| text.to_string_lossy().into_owned())
    }
}

fn unknown(flag: String) -> ConfigError {
    let others = ["config", "help", "version"];
    let key = flag.trim_start_matches('-').replace('-', "_");
    let near = nearest(&key, SETTINGS.iter().map(|setting| setting.key).chain(others));
    let hint = near.map(|key| did_you_mean(format!("--{}", key.replace('_', "-"))));
    Origin::Flag(flag).refuse(Problem::Unknown { key: None, hint })
}

/// Says that a value was left over, which cannot be: every flag takes its value or ends the reading.
fn not_understood(error: &lexopt::Error) -> ConfigError {
    Origin::Arguments.refuse(Problem::Syntax(error.to_string()))
}
