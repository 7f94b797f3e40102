//! The text of `--help` and `--version`.

use super::SETTINGS;
use super::setting::{Kind, Setting, words};

const START: &str = "\
Serves ml-core pipelines and ONNX models over HTTP.

Usage: ml-serve [FLAG VALUE]... [MODEL FOLDER OR FILE]...
";

const END: &str = "
A later source wins: the TOML file, then the environment, then flags.
File: the same keys with underscores, as in batch_items_max = 32, and [[models]] with path and name.
Environment: ML_SERVE_ and the key in capitals, as in ML_SERVE_BATCH_ITEMS_MAX; PORT too.

Example: ml-serve --port 9000 --batch-items-max 32 models/sentiment
";

/// Returns the help: every flag with its range and default, in columns.
pub(super) fn help() -> String {
    let mut rows = vec![row("", "Flag and what it takes", "Default", "Meaning")];
    rows.extend(SETTINGS.iter().map(|setting| {
        let flag = format!("{} {}", setting.flag(), short(setting));
        row("  ", &flag, &setting.default().unwrap_or_else(|| "unset".into()), setting.help)
    }));
    rows.push(row("  ", "--config FILE", "unset", "TOML file with settings and models"));
    rows.push(row("  ", "--help, -h", "", "print this text"));
    rows.push(row("  ", "--version, -V", "", "print the version"));
    format!("{START}\n{}{END}", rows.concat())
}

/// Returns the version line.
pub(super) fn version() -> String {
    format!("ml-serve {}\n", env!("CARGO_PKG_VERSION"))
}

fn row(indent: &str, flag: &str, default: &str, meaning: &str) -> String {
    format!("{:<38}{default:<13}{meaning}\n", format!("{indent}{flag}"))
}

/// Returns what the setting takes without its unit, which the key or the meaning says.
fn short(setting: &Setting) -> String {
    match &setting.kind {
        Kind::Whole { range, .. } => format!("{}-{}", range.start(), range.end()),
        Kind::Bytes { .. } => setting.takes().replace(" bytes", "").replace(" to ", "-"),
        Kind::Choice(choices) => words(choices).join("|"),
        Kind::Text { word, .. } => (*word).to_owned(),
        Kind::Port { .. } => "off|PORT".to_owned(),
        Kind::Path { .. } => "PATH".to_owned(),
    }
}
