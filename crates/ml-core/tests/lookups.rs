//! Lookups: asked once per call and source, and a source that fails costs only the items that named it.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::sync::{Arc, Mutex};

use ml_core::{Lookup, LookupError};

use support::{Item, Scripted, one_runner};

/// Knows the length of every name but one, and remembers what it was asked.
#[derive(Clone, Default)]
struct Lengths {
    asked: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Lookup for Lengths {
    type Value = i64;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<i64>>, LookupError> {
        self.asked.lock().expect("no panic").push(ids.to_vec());
        Ok(ids.iter().map(|id| (id != "nobody").then_some(id.len() as i64)).collect())
    }
}

struct Broken(Result<Vec<Option<i64>>, LookupError>);

impl Lookup for Broken {
    type Value = i64;

    async fn fetch_many(&self, _: &[String]) -> Result<Vec<Option<i64>>, LookupError> {
        self.0.clone()
    }
}

#[test]
fn the_keys_of_a_call_are_asked_once_and_reach_their_items() {
    let lengths = Lengths::default();
    let engine = one_runner(Scripted::default()).lookup("lengths", lengths.clone()).start();
    let results = engine.predict_many_blocking(vec![
        Item::WithFact(1, "lengths", "anna"),
        Item::WithFact(2, "lengths", "anna"),
        Item::Good(5),
        Item::WithFact(3, "lengths", "li"),
        Item::WithFact(4, "lengths", "nobody"),
    ]);
    // Each is (number + fact) × 2; a fact that the source does not know counts as -1000 in this pipeline.
    assert_eq!(results, [Ok(10), Ok(12), Ok(10), Ok(10), Ok(-1992)]);
    assert_eq!(*lengths.asked.lock().expect("no panic"), [["anna", "li", "nobody"]]);
}

#[test]
fn a_source_that_fails_costs_only_the_items_that_named_it() {
    let down = || Err(LookupError::new("connection refused"));
    for (broken, reason) in [
        (Broken(down()), "the lookup in broken failed: connection refused"),
        (Broken(Ok(Vec::new())), "the lookup in broken failed: 0 values for 1 keys"),
    ] {
        let engine = one_runner(Scripted::default())
            .lookup("lengths", Lengths::default())
            .lookup("broken", broken)
            .start();
        let results = engine.predict_many_blocking(vec![
            Item::WithFact(1, "lengths", "li"),
            Item::WithFact(1, "broken", "li"),
            Item::WithFact(1, "unheard_of", "li"),
            Item::Good(4),
        ]);
        let texts: Vec<_> =
            results.iter().map(|result| result.as_ref().map_err(ToString::to_string)).collect();
        assert_eq!(texts[0], Ok(&6));
        assert_eq!(texts[1], Err(reason.to_owned()));
        let unheard_of = "the lookup in unheard_of failed: no source of this name was added to the engine";
        assert_eq!(texts[2], Err(unheard_of.to_owned()));
        assert_eq!(texts[3], Ok(&8));
    }
}
