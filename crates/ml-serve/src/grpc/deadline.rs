//! The time that a call's caller gives it, in the header `grpc-timeout`.
//!
//! Callers end a call themselves when its time is over. The engine should not begin what will be late, and says so a little before that.

use std::time::{Duration, Instant};

use tonic::Request;
use tonic::codegen::http::Extensions;
use tonic::metadata::MetadataMap;

/// How long before its caller a call gives up: more than timers are off.
const AHEAD: Duration = Duration::from_millis(2);

/// When a call's head came: its time runs from there, and its message may be long.
#[derive(Debug, Clone, Copy)]
struct Arrived(Instant);

/// Notes when a call's head came.
pub(super) fn arrived(extensions: &mut Extensions) {
    extensions.insert(Arrived(Instant::now()));
}

/// Returns when a call must have been answered.
pub(super) fn of<T>(call: &Request<T>, most: Duration) -> Option<Instant> {
    let arrived = call.extensions().get().map_or_else(Instant::now, |Arrived(at)| *at);
    arrived.checked_add(timeout(call.metadata(), most))
}

/// Returns the time that a call has, at most `most`.
fn timeout(metadata: &MetadataMap, most: Duration) -> Duration {
    let given = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(read);
    let ahead = |given: Duration| given.saturating_sub(AHEAD).max(given / 2);
    given.map_or(most, |given| ahead(given).min(most))
}

/// Reads a number of up to eight digits and its unit.
fn read(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(3600 * number)),
        "M" => Some(Duration::from_secs(60 * number)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_a_little_less_than_its_callers_time() {
        let most = Duration::from_secs(30);
        for (value, expected) in [
            ("1S", Duration::from_millis(998)),
            ("5000000u", Duration::from_millis(4998)),
            ("100m", Duration::from_millis(98)),
            ("3m", Duration::from_micros(1500)),
            ("1000n", Duration::from_nanos(500)),
            ("1H", most),
            ("", most),
            ("m", most),
            ("1", most),
            ("-1S", most),
            ("123456789S", most),
            ("1é", most),
        ] {
            let mut metadata = MetadataMap::new();
            if let Ok(value) = value.parse() {
                metadata.insert("grpc-timeout", value);
            }
            assert_eq!(timeout(&metadata, most), expected, "{value}");
        }
    }
}
