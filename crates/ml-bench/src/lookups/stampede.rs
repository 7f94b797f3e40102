//! Ten thousand requests at once that need the same fact, which nobody has yet.

use std::time::Duration;

use futures_util::future::join_all;
use ml_core::{LookupCache, Source};

use crate::Error;

use super::remote::{LATENCY, Remote};
use super::scoring::with_lookups;
use super::{Figure, LookupsOptions, Row};

const REQUESTS: usize = 10_000;

pub(super) fn run(_: &LookupsOptions) -> Result<Row, Error> {
    let remote = Remote::new(LATENCY, 1);
    let cache = LookupCache::lru(10).fresh_for(Duration::from_secs(3600));
    let source = Source::new(remote.clone()).cache(cache).budget(Duration::from_secs(60));
    let engine = with_lookups(source);
    let requests = (0..REQUESTS).map(|number| engine.predict((number, "cold".to_owned())));
    let answers = pollster::block_on(join_all(requests));
    // The engine's own queue may refuse some of so many items; no fact is missing in any.
    let without_fact =
        answers.iter().filter(|answer| matches!(answer, Err(error) if error.code() == "lookup_failed"));
    let missing = without_fact.count();
    let figures = vec![
        Figure::one("fetches", "", remote.fetches() as f64),
        Figure::one("requests without their fact", "", missing as f64),
    ];
    let reached = remote.fetches() == 1 && missing == 0;
    Ok(Row { goal: "exactly 1 fetch".to_owned(), reached: Some(reached), figures, ..Row::default() })
}
