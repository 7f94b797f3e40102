//! The forms of a value: whole numbers, bytes, host names and log filters.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::error::Problem;

/// What a path is called in messages.
pub(super) const PATH: &str = "a path";

const SCALES: [(&str, usize); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Returns the number, or `None` where the text is no whole number.
///
/// One too long for any range is `i128::MAX`, so that it is refused for its size, not for its form.
pub(super) fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(i128::MAX))
}

/// Returns the bytes of `4096`, `512KiB`, `32MiB` or `1GiB`, or `None` where the text has another form.
pub(super) fn bytes(text: &str) -> Option<i128> {
    for (suffix, scale) in SCALES {
        if let Some(number) = text.strip_suffix(suffix) {
            return whole(number).map(|number| number.saturating_mul(scale as i128));
        }
    }
    whole(text)
}

/// Returns the shortest form that [`bytes`] reads back.
pub(super) fn short_bytes(bytes: usize) -> String {
    match SCALES.iter().rev().find(|(_, scale)| bytes > 0 && bytes.is_multiple_of(*scale)) {
        Some((suffix, scale)) => format!("{}{suffix}", bytes / scale),
        None => bytes.to_string(),
    }
}

/// Returns the text as a path, which is never empty.
pub(super) fn path(key: &'static str, text: &OsStr) -> Result<PathBuf, Problem> {
    match text.is_empty() {
        false => Ok(text.into()),
        true => Err(Problem::Refused { key, found: format!("{text:?}"), takes: PATH.to_owned(), hint: None }),
    }
}

/// Tells whether the text can stand in a URL, and in a file's name, as it is; `.` and `..` cannot.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Tells whether the text is an IP address (without brackets or port) or a host name.
pub(super) fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_host_name(text)
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    // A name whose last label is a number is a mistyped IP address.
    let last_is_number =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.split('.').all(is_label)
}

/// Tells whether the text can be a server's name.
pub(super) fn is_server_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// Tells whether the text is a list of tracing directives, each with its level.
///
/// Tracing reads a bare word that is no level as a target, so `inof` would silence every log but that
/// target's.
pub(super) fn is_log_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let says_level = |directive: &str| directive.contains('=') || is_level(directive.trim());
    // The commas inside a span's brackets part fields, not directives.
    let every_directive_says_level = text.contains('[') || text.split(',').all(says_level);
    every_directive_says_level && EnvFilter::try_new(text).is_ok()
}
