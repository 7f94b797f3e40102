//! The configuration that tuning writes, with where its numbers come from.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Measured, TuneReport};

const DAY_S: u64 = 24 * 3600;

/// Returns the file: comments that say what was measured, and the settings.
pub(super) fn text(report: &TuneReport, day: &str) -> String {
    let TuneReport { cpus, goal_p99_ms, serve, model, data, batch, best, rungs, .. } = report;
    let Measured { clients, items_per_s, p99_ms, seconds, .. } = best;
    let tried = rungs.first().map_or(0, Vec::len);
    let verdict = if best.within_goal { "within" } else { "the nearest to" };
    let mut text = format!(
        "# Written by `ml-bench tune` on {day}, for a machine on which the server may use {cpus} CPUs.\n\
         #\n\
         # Measured: {items_per_s:.1} items/s with p99 {p99_ms:.1} ms, {verdict} the goal of {goal_p99_ms} ms,\n\
         # from {clients} clients in a closed loop, {batch} items a request, counted twice for {seconds} s;\n\
         # the best of {tried} settings by successive halving.\n"
    );
    for (name, value) in [("server", serve), ("model", model), ("data", &data.display().to_string())] {
        // A comment ends with its line, whatever the command has in it.
        let _ = writeln!(text, "# {name}: {}", value.replace(char::is_control, " "));
    }
    text.push('\n');
    for (key, value) in best.candidate.settings() {
        let _ = writeln!(text, "{key} = {value}");
    }
    text
}

/// Returns today's date, by UTC.
pub(super) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date(since.as_secs() / DAY_S)
}

/// Returns the date so many days after 1970-01-01. Counted in eras of 400 years, which all have the same days, from
/// a 1 March, so that the leap day is the last of a year.
fn date(days: u64) -> String {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next_year)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::Candidate;

    #[test]
    fn days_become_dates() {
        let cases = [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_453, "2025-12-31"),
            (20_454, "2026-01-01"),
        ];
        for (days, expected) in cases {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn the_file_has_the_settings_and_says_where_they_come_from() {
        let candidate = Candidate { runners: 2, intra_op_threads: 1, wide_threads: 2, batch_items_max: 16 };
        let best = Measured {
            candidate,
            clients: 32,
            items_per_s: 250.04,
            p99_ms: 88.06,
            within_goal: true,
            seconds: 8.0,
        };
        let report = TuneReport {
            cpus: 2,
            goal_p99_ms: 100.0,
            serve: "serve\nrunners = 9".to_owned(),
            model: "m".to_owned(),
            data: "d.ndjson".into(),
            batch: 1,
            best,
            rungs: vec![vec![best; 20], vec![best]],
            out: "serve.toml".into(),
        };
        let expected = "\
# Written by `ml-bench tune` on 2026-01-01, for a machine on which the server may use 2 CPUs.
#
# Measured: 250.0 items/s with p99 88.1 ms, within the goal of 100 ms,
# from 32 clients in a closed loop, 1 items a request, counted twice for 8 s;
# the best of 20 settings by successive halving.
# server: serve runners = 9
# model: m
# data: d.ndjson

runners = 2
intra_op_threads = 1
wide_threads = 2
batch_items_max = 16
";
        assert_eq!(text(&report, "2026-01-01"), expected);

        let best = Measured { within_goal: false, ..best };
        let missed = TuneReport { best, ..report };
        assert!(!missed.passed() && missed.to_string().contains("no settings met the goal"), "{missed}");
        assert!(text(&missed, "2026-01-01").contains("the nearest to the goal of 100 ms"));
    }
}
