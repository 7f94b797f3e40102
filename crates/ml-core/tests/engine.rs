//! The engine's promises: each item its own result, in order, computed once, and nothing accepted is lost.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use ml_core::{CallOptions, Engine, Error, WhenFull};
use pollster::block_on;

use support::{Item, Scripted, gate, one_runner};

/// Predicts the items and returns each result, an error as its code.
fn results(engine: &Engine<Scripted>, items: Vec<Item>) -> Vec<Result<i64, &'static str>> {
    engine
        .predict_many_blocking(items)
        .into_iter()
        .map(|result| result.map_err(|error| error.code()))
        .collect()
}

#[test]
fn each_item_gets_its_own_result_in_order() {
    let engine = Engine::new(Scripted::default());
    let cases = [
        (Item::Good(1), Ok(2)),
        (Item::Invalid, Err("invalid_item")),
        (Item::Good(2), Ok(4)),
        (Item::Unclean, Err("invalid_item")),
        (Item::Guilty, Err("model_failed")),
        (Item::Panics("validate"), Err("pipeline_panicked")),
        (Item::Panics("clean"), Err("pipeline_panicked")),
        (Item::Panics("predict"), Err("pipeline_panicked")),
        (Item::Panics("format"), Err("pipeline_panicked")),
        (Item::Good(3), Ok(6)),
        (Item::Good(1), Ok(2)),
    ];
    let (items, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(results(&engine, items), expected);
    assert!(engine.is_running(), "a panic must not end a runner");
}

#[test]
fn a_call_without_items_gets_no_results() {
    assert_eq!(results(&Engine::new(Scripted::default()), Vec::new()), []);
}

#[test]
fn equal_items_are_computed_once_and_answered_everywhere() {
    let pipeline = Scripted::default();
    let computed = pipeline.computed.clone();
    let engine = Engine::new(pipeline);
    let items: Vec<Item> = (0..100).map(|number| Item::Good(number % 7)).collect();
    let expected: Vec<_> = (0..100).map(|number| Ok((number % 7) * 2)).collect();
    assert_eq!(results(&engine, items), expected);
    assert_eq!(computed.load(Ordering::SeqCst), 7);
}

#[test]
fn only_the_guilty_item_of_a_batch_fails() {
    for culprit in [Item::Guilty, Item::Panics("predict")] {
        for place in [0, 7, 15] {
            let engine = one_runner(Scripted::default()).start();
            let mut items: Vec<Item> = (0..16).map(Item::Good).collect();
            items[place] = culprit.clone();
            for (index, result) in results(&engine, items).into_iter().enumerate() {
                assert_eq!(
                    result.is_err(),
                    index == place,
                    "{culprit:?} at {place}: item {index} got {result:?}"
                );
            }
        }
    }
}

#[test]
fn a_model_that_forgets_predictions_is_an_error_and_not_a_wait() {
    let engine = Engine::new(Scripted { forget_predictions: true, ..Scripted::default() });
    assert_eq!(
        results(&engine, vec![Item::Good(1), Item::Good(2)]),
        [Err("model_failed"), Err("model_failed")]
    );
}

#[test]
fn single_items_that_wait_share_a_batch() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).start();
    let mut first = engine.predict(Item::Good(0)).boxed();
    assert!(first.as_mut().now_or_never().is_none());
    assert_eq!(keeper.next_batch(), [Item::Good(0)], "a lone item does not wait for company");

    let mut others: Vec<_> = (1..=5).map(|number| engine.predict(Item::Good(number)).boxed()).collect();
    for other in &mut others {
        assert!(other.as_mut().now_or_never().is_none());
    }
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), (1..=5).map(Item::Good).collect::<Vec<_>>());
    keeper.let_pass();
    let (first, others) = block_on(join(first, join_all(others)));
    assert_eq!((first, others), (Ok(0), (1..=5).map(|number| Ok(number * 2)).collect()));
}

#[test]
fn a_batch_holds_the_oldest_item_and_items_of_similar_cost() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).batch_items_max(4).start();
    let items: Vec<Item> = [50, 10, 400, 52, 11, 49, 390].map(Item::Heavy).to_vec();
    let calls = [vec![Item::Good(0)], items];
    let mut calls: Vec<_> = calls.map(|items| engine.predict_many(items).boxed()).into_iter().collect();
    let blocked = calls[0].as_mut().now_or_never();
    assert!(blocked.is_none());
    assert_eq!(keeper.next_batch().len(), 1);
    assert!(calls[1].as_mut().now_or_never().is_none());
    let batches = [vec![50, 52, 49], vec![10, 11], vec![400, 390]];
    for batch in batches {
        keeper.let_pass();
        assert_eq!(keeper.next_batch(), batch.into_iter().map(Item::Heavy).collect::<Vec<_>>());
    }
    keeper.let_pass();
    assert!(block_on(join_all(calls)).into_iter().flatten().all(|result| result.is_ok()));
}

#[test]
fn a_full_queue_refuses_or_lets_wait_as_the_call_says() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).queue_items_max(2).start();
    let mut at_work = engine.predict(Item::Good(0)).boxed();
    assert!(at_work.as_mut().now_or_never().is_none());
    keeper.next_batch();
    let mut waiting = engine.predict_many(vec![Item::Good(1), Item::Good(2)]).boxed();
    assert!(waiting.as_mut().now_or_never().is_none());

    let refused = block_on(engine.predict(Item::Good(3)));
    let Err(Error::Overloaded { waiting_items: 2, limit_items: 2, .. }) = refused else {
        panic!("a third item must be refused, got {refused:?}");
    };
    let patient = CallOptions { when_full: WhenFull::Wait, ..CallOptions::default() };
    let mut patient = engine.call(vec![Item::Good(4)], patient).boxed();
    assert!(patient.as_mut().now_or_never().is_none());

    keeper.let_pass();
    keeper.next_batch();
    assert!(patient.as_mut().now_or_never().is_none(), "now it is in the queue");
    keeper.let_pass();
    keeper.next_batch();
    keeper.let_pass();
    let (answered, patient) = block_on(join(join(at_work, waiting), patient));
    assert_eq!(answered, (Ok(0), vec![Ok(2), Ok(4)]));
    assert_eq!(patient.results, [Ok(8)]);
}

#[test]
fn a_call_that_the_queue_could_never_take_is_refused() {
    let engine = one_runner(Scripted::default()).queue_items_max(3).start();
    let results = engine.predict_many_blocking((0..4).map(Item::Good).collect());
    assert_eq!(results[0], Err(Error::CallTooLarge { items: 4, limit_items: 3 }));
}

#[test]
fn an_item_past_its_deadline_is_not_computed() {
    let pipeline = Scripted::default();
    let computed = pipeline.computed.clone();
    let engine = Engine::new(pipeline);
    let passed = CallOptions { deadline: Some(Instant::now()), ..CallOptions::default() };
    assert_eq!(block_on(engine.call(vec![Item::Good(1)], passed)).results, [Err(Error::DeadlineExceeded)]);
    let ahead = Instant::now() + Duration::from_secs(60);
    let ahead = CallOptions { deadline: Some(ahead), ..CallOptions::default() };
    assert_eq!(block_on(engine.call(vec![Item::Good(1)], ahead)).results, [Ok(2)]);
    assert_eq!(computed.load(Ordering::SeqCst), 1);
}

#[test]
fn what_a_caller_left_behind_is_not_computed() {
    let (gate, keeper) = gate();
    let pipeline = Scripted { gate: Some(gate), ..Scripted::default() };
    let computed = pipeline.computed.clone();
    let engine = one_runner(pipeline).start();
    let mut stays = engine.predict(Item::Good(1)).boxed();
    assert!(stays.as_mut().now_or_never().is_none());
    keeper.next_batch();
    let mut leaves = engine.predict(Item::Good(2)).boxed();
    assert!(leaves.as_mut().now_or_never().is_none());
    drop(leaves);
    let mut comes = engine.predict(Item::Good(3)).boxed();
    assert!(comes.as_mut().now_or_never().is_none());
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(3)]);
    keeper.let_pass();
    assert_eq!(block_on(join(stays, comes)), (Ok(2), Ok(6)));
    assert_eq!(computed.load(Ordering::SeqCst), 2);
}

#[test]
fn a_closed_engine_answers_what_it_accepted_and_takes_no_more() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).start();
    let mut at_work = engine.predict(Item::Good(1)).boxed();
    assert!(at_work.as_mut().now_or_never().is_none());
    keeper.next_batch();
    let mut waiting = engine.predict(Item::Good(2)).boxed();
    assert!(waiting.as_mut().now_or_never().is_none());
    engine.close();
    assert_eq!(block_on(engine.predict(Item::Good(3))), Err(Error::ShuttingDown));
    keeper.let_pass();
    keeper.next_batch();
    keeper.let_pass();
    assert_eq!(block_on(join(at_work, waiting)), (Ok(2), Ok(4)));
}

#[test]
fn a_large_call_is_cleaned_on_several_threads_and_a_small_one_where_it_came_from() {
    let pipeline = Scripted::default();
    let cleaned_on = pipeline.cleaned_on.clone();
    let engine = Engine::builder(pipeline).queue_items_max(1 << 20).start();
    let here = std::thread::current().name().expect("tests have names").to_owned();

    assert_eq!(engine.predict_blocking(Item::Good(0)), Ok(0));
    assert_eq!(*cleaned_on.lock().expect("no panic"), std::slice::from_ref(&here));

    // However cheap an item is, this many outweigh every hand-over.
    let count = 20_000;
    assert!(engine.predict_many_blocking((0..count).map(Item::Good).collect()).iter().all(Result::is_ok));
    let pooled =
        cleaned_on.lock().expect("no panic").iter().filter(|name| name.starts_with("preprocess-")).count();
    assert!(pooled > 0, "none of {count} items went to the pool");
}

#[test]
fn every_caller_gets_its_own_answer_under_contention() {
    let engine = Engine::builder(Scripted::default()).batch_items_max(5).start();
    let callers: Vec<_> = (0..8_i64)
        .map(|caller| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                for round in 0..200 {
                    let number = caller * 1_000 + round;
                    let mut items = vec![Item::Good(number); 2];
                    items.push(if round % 10 == 0 { Item::Guilty } else { Item::Good(-number) });
                    let results = engine.predict_many_blocking(items);
                    assert_eq!(results[..2], [Ok(number * 2), Ok(number * 2)]);
                    assert_eq!(results[2].is_err(), round % 10 == 0);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("every answer was right");
    }
}
