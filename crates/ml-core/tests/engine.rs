//! The engine's promises: each item its own result, in order, computed once, and nothing accepted is lost.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use ml_core::{
    CacheOptions, CallOptions, Engine, Error, Facts, Full, Metrics, Model, ModelError, ModelOptions,
    Pipeline, Priority, Rejection, RuntimeChoice, ThreadPlan, ThreadWishes, WhenFull,
};
use pollster::block_on;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use support::{Item, Scripted, gate, one_runner};

/// More than a queue of one byte takes, which has room for a KiB.
const LONG: &str = match str::from_utf8(&[b'x'; 2000]) {
    Ok(text) => text,
    Err(_) => "",
};

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

/// A GPU runs one batch at a time: were there more runners, what waits would be shared out among them only to wait on.
#[test]
fn no_runner_takes_a_batch_that_its_model_could_not_run_at_once() {
    let plan = |cpus| ThreadPlan::for_cpus(cpus, ThreadWishes::default());
    let iris = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/iris/model.onnx");
    let options = ModelOptions { runtime: RuntimeChoice::Rten, threads: plan(1), ..ModelOptions::default() };
    let model = Model::load(iris, &options).expect("the model loads");
    assert_eq!((model.runs_at_once(), plan(4).runners), (1, 4));
    let (gate, keeper) = gate();
    let scripted = Scripted { gate: Some(gate), model: Some(model), ..Scripted::default() };
    let engine = Engine::builder(scripted).threads(plan(4)).start();

    let mut calls: Vec<_> = (0..4).map(|number| engine.predict(Item::Good(number)).boxed()).collect();
    assert!(calls[0].as_mut().now_or_never().is_none());
    assert_eq!(keeper.next_batch(), [Item::Good(0)]);
    for call in &mut calls[1..] {
        assert!(call.as_mut().now_or_never().is_none());
    }
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), (1..4).map(Item::Good).collect::<Vec<_>>());
    keeper.let_pass();
    assert!(block_on(join_all(calls)).into_iter().all(|result| result.is_ok()));
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
    let Err(Error::Overloaded { full: Full::Items { waiting_items: 2, limit_items: 2 }, .. }) = refused
    else {
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
fn a_call_larger_than_the_queue_goes_in_by_parts() {
    for (when_full, priority) in [(WhenFull::Refuse, Priority::Interactive), (WhenFull::Wait, Priority::Bulk)]
    {
        let engine = one_runner(Scripted::default()).queue_items_max(3).start();
        let options = CallOptions { when_full, priority, ..CallOptions::default() };
        let answer = block_on(engine.call((0..50).map(Item::Good).collect(), options));
        assert_eq!(answer.results, (0..50).map(|number| Ok(number * 2)).collect::<Vec<_>>());
        assert_eq!(engine.waiting_items(), 0);
    }
}

#[test]
fn an_item_larger_than_the_queue_is_refused_for_good() {
    let engine = one_runner(Scripted::default()).queue_bytes_max(2048).start();
    let large = Item::WithFact(1, "nowhere", std::iter::repeat_n('x', 5000).collect::<String>().leak());
    let result = block_on(engine.predict(large));
    assert!(
        matches!(result, Err(Error::CallTooLarge { bytes: 5000..6000, limit_bytes: 2048 })),
        "got {result:?}"
    );
    assert_eq!(engine.predict_blocking(Item::Good(1)), Ok(2));
}

/// Starts a call that stays at the gate, and waits until it is there.
fn occupy<'a>(
    engine: &'a Engine<Scripted>,
    keeper: &support::GateKeeper,
) -> futures_util::future::BoxFuture<'a, Result<i64, Error>> {
    let mut call = engine.predict(Item::Good(-1)).boxed();
    assert!(call.as_mut().now_or_never().is_none());
    assert_eq!(keeper.next_batch(), [Item::Good(-1)]);
    call
}

#[test]
fn equal_items_of_several_calls_are_computed_once() {
    let (gate, keeper) = gate();
    let pipeline = Scripted { gate: Some(gate), ..Scripted::default() };
    let (computed, cleaned) = (pipeline.computed.clone(), pipeline.cleaned_on.clone());
    let engine = one_runner(pipeline).start();
    let busy = occupy(&engine, &keeper);
    let mut calls: Vec<_> = (0..10).map(|_| engine.predict(Item::Good(7)).boxed()).collect();
    calls.push(engine.predict(Item::Guilty).boxed());
    calls.push(engine.predict(Item::Guilty).boxed());
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(7), Item::Guilty]);
    keeper.let_pass();
    for _ in 0..2 {
        // The guilty item is looked for among two.
        keeper.next_batch();
        keeper.let_pass();
    }
    let (_, mut results) = block_on(join(busy, join_all(calls)));
    for guilty in results.split_off(10) {
        assert_eq!(guilty.map_err(|error| error.code()), Err("model_failed"), "one verdict for both");
    }
    assert_eq!(results, vec![Ok(14); 10]);
    assert_eq!(computed.load(Ordering::SeqCst), 2, "the first call and one of ten equal ones");
    assert_eq!(cleaned.lock().expect("no panic").len(), 3);
}

#[test]
fn an_item_whose_leader_leaves_is_computed_all_the_same() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).queue_items_max(1).start();
    let busy = occupy(&engine, &keeper);
    let mut leads = engine.predict(Item::Good(7)).boxed();
    assert!(leads.as_mut().now_or_never().is_none());
    let mut follows = [engine.predict(Item::Good(7)).boxed(), engine.predict(Item::Good(7)).boxed()];
    for follow in &mut follows {
        assert!(follow.as_mut().now_or_never().is_none(), "the queue is full, but equal items need no room");
    }
    drop(leads);
    for follow in &mut follows {
        assert!(follow.as_mut().now_or_never().is_none());
    }
    keeper.let_pass();
    let passing = std::thread::spawn(move || {
        let batch = keeper.next_batch();
        keeper.let_pass();
        batch
    });
    assert_eq!(block_on(join(busy, join_all(follows))), (Ok(-2), vec![Ok(14), Ok(14)]));
    assert_eq!(passing.join().expect("one batch came"), [Item::Good(7)]);
}

#[test]
fn an_engine_that_shares_nothing_computes_each_call() {
    let (gate, keeper) = gate();
    let engine =
        one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).share_in_flight(false).start();
    let busy = occupy(&engine, &keeper);
    let mut calls: Vec<_> = (0..3).map(|_| engine.predict(Item::Good(7)).boxed()).collect();
    for call in &mut calls {
        assert!(call.as_mut().now_or_never().is_none());
    }
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(7), Item::Good(7), Item::Good(7)]);
    keeper.let_pass();
    assert_eq!(block_on(join(busy, join_all(calls))).1, [Ok(14), Ok(14), Ok(14)]);
}

#[test]
fn an_item_follows_no_equal_one_that_may_be_answered_too_late_for_it() {
    let hour = Duration::from_secs(3600);
    // Of `later`, the thread may have come first although its caller did not.
    let [soon, later, late] = [60, 66, 70].map(|minutes| Some(Instant::now() + hour / 60 * minutes));
    for (first, second, computed) in [
        (None, soon, 2),
        (late, soon, 2),
        (later, soon, 1),
        (soon, late, 1),
        (soon, soon, 1),
        (soon, None, 1),
        (None, None, 1),
    ] {
        let (gate, keeper) = gate();
        let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).start();
        let busy = occupy(&engine, &keeper);
        let call = |deadline| {
            let options = CallOptions { deadline, ..CallOptions::default() };
            engine.call(vec![Item::Good(7)], options).boxed()
        };
        let mut calls = [first, second].map(call);
        for call in &mut calls {
            assert!(call.as_mut().now_or_never().is_none());
        }
        keeper.let_pass();
        assert_eq!(keeper.next_batch(), vec![Item::Good(7); computed], "{first:?}, then {second:?}");
        keeper.let_pass();
        let (_, answers) = block_on(join(busy, join_all(calls)));
        assert!(answers.iter().all(|answer| answer.results == [Ok(14)]));
    }
}

#[test]
fn items_too_large_for_the_queue_are_told_so_however_patient_their_call_is() {
    let engine = one_runner(Scripted::default()).queue_bytes_max(1).start();
    for when_full in [WhenFull::Refuse, WhenFull::Wait] {
        let options = CallOptions { when_full, priority: Priority::Bulk, ..CallOptions::default() };
        // What an item weighs is what its hash covers: its text here.
        let items = vec![Item::WithFact(1, LONG, ""), Item::WithFact(2, LONG, "")];
        let results = block_on(engine.call(items, options)).results;
        let codes: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.code())).collect();
        assert_eq!(codes, [Err("call_too_large"); 2], "{when_full:?}");
    }
}

#[test]
fn features_that_panic_when_they_are_dropped_unrun_cost_nobody_an_answer() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).start();
    let busy = occupy(&engine, &keeper);
    let soon =
        CallOptions { deadline: Some(Instant::now() + Duration::from_millis(5)), ..CallOptions::default() };
    let mut late = engine.call((1..=3).map(Item::Bomb).collect(), soon).boxed();
    let mut left = engine.call((4..=6).map(Item::Bomb).collect(), CallOptions::default()).boxed();
    let mut good = engine.predict(Item::Good(1)).boxed();
    assert!(late.as_mut().now_or_never().is_none());
    assert!(left.as_mut().now_or_never().is_none());
    assert!(good.as_mut().now_or_never().is_none());
    drop(left);
    while soon.deadline > Some(Instant::now()) {
        std::thread::yield_now();
    }
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(1)]);
    keeper.let_pass();
    let (_, (late, good)) = block_on(join(busy, join(late, good)));
    assert_eq!(late.results, vec![Err(Error::DeadlineExceeded); 3]);
    assert_eq!(good, Ok(2));
    // The runner is free again, and so is the room: nothing is expected to wait.
    assert_eq!((engine.waiting_items(), engine.estimated_wait(Priority::Bulk)), (0, Duration::ZERO));
}

#[test]
fn a_remembered_answer_is_not_computed_again_and_an_error_is_not_remembered() {
    let pipeline = Scripted::default();
    let (computed, cleaned) = (pipeline.computed.clone(), pipeline.cleaned_on.clone());
    let engine = Engine::builder(pipeline).cache(CacheOptions::default(), |_| 8).start();
    for _ in 0..3 {
        assert_eq!(
            results(&engine, vec![Item::Good(1), Item::Good(2), Item::Guilty]),
            [Ok(2), Ok(4), Err("model_failed")]
        );
    }
    assert_eq!(computed.load(Ordering::SeqCst), 2);
    assert_eq!(cleaned.lock().expect("no panic").len(), 2 + 3);
}

#[test]
fn a_cache_without_room_remembers_nothing() {
    let pipeline = Scripted::default();
    let computed = pipeline.computed.clone();
    let options = CacheOptions { bytes_max: 4096, ..CacheOptions::default() };
    let engine = Engine::builder(pipeline).cache(options, |_| 5000).start();
    for _ in 0..3 {
        assert_eq!(engine.predict_blocking(Item::Good(1)), Ok(2));
    }
    assert_eq!(computed.load(Ordering::SeqCst), 3);
}

#[test]
fn who_waits_goes_before_who_does_not() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).batch_items_max(2).start();
    let busy = occupy(&engine, &keeper);
    let bulk = CallOptions { priority: Priority::Bulk, ..CallOptions::default() };
    let mut bulk = engine.call((0..3).map(Item::Good).collect(), bulk).boxed();
    assert!(bulk.as_mut().now_or_never().is_none());
    // Equal to a bulk item: who waits does not wait for that one.
    let mut interactive = engine.predict(Item::Good(2)).boxed();
    assert!(interactive.as_mut().now_or_never().is_none());
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(2), Item::Good(0)]);
    keeper.let_pass();
    assert_eq!(keeper.next_batch(), [Item::Good(1), Item::Good(2)]);
    keeper.let_pass();
    let (_, (bulk, interactive)) = block_on(join(busy, join(bulk, interactive)));
    assert_eq!((bulk.results, interactive), (vec![Ok(0), Ok(2), Ok(4)], Ok(4)));
}

#[test]
fn what_cannot_be_answered_in_time_is_refused_at_the_door() {
    let (gate, keeper) = gate();
    let engine = one_runner(Scripted { gate: Some(gate), ..Scripted::default() }).start();
    let mut busy = occupy(&engine, &keeper);
    // The first batch is made to take long, so that the engine expects much of the next.
    let held = Instant::now();
    while held.elapsed() < Duration::from_millis(50) {
        std::thread::yield_now();
    }
    keeper.let_pass();
    assert_eq!(block_on(&mut busy), Ok(-2));
    let busy = occupy(&engine, &keeper);
    let mut waiting = engine.predict_many((0..100).map(Item::Good).collect()).boxed();
    while engine.waiting_items() < 100 {
        // The pool may be cleaning them.
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    assert!(engine.estimated_wait(Priority::Interactive) >= Duration::from_secs(4));

    let soon = Instant::now() + Duration::from_secs(2);
    let hurried = CallOptions { deadline: Some(soon), ..CallOptions::default() };
    match block_on(engine.call(vec![Item::Good(500)], hurried)).results.pop() {
        Some(Err(Error::Overloaded { full: Full::Time { estimated_wait, limit }, retry_after })) => {
            assert!(limit <= Duration::from_secs(2) && estimated_wait > limit);
            assert!(retry_after > Duration::from_secs(1) && retry_after < estimated_wait);
        }
        other => panic!("a call that cannot be in time must be refused, got {other:?}"),
    }
    let patient = CallOptions { deadline: Some(soon), when_full: WhenFull::Wait, ..CallOptions::default() };
    let mut patient = engine.call(vec![Item::Good(501)], patient).boxed();
    assert!(patient.as_mut().now_or_never().is_none(), "bulk work is not refused: it may be lucky");
    drop((busy, waiting, patient));
    keeper.let_pass();
}

/// Features that panic when they are dropped: on the runner, outside anything that the model does.
#[test]
fn features_that_panic_when_they_are_dropped_cost_nobody_an_answer() {
    let engine = one_runner(Scripted::default()).start();
    assert_eq!(results(&engine, (0..3).map(Item::Bomb).collect()), [Ok(0), Ok(0), Ok(0)]);
    for round in 0..3 {
        let result = engine.predict_blocking(Item::Bomb(round));
        assert_eq!(result, Ok(0), "its answer was there before it went off");
        assert_eq!(engine.predict_blocking(Item::Good(round)), Ok(round * 2));
        assert!(engine.is_running());
    }
}

/// A model whose predictions panic when they are dropped unformatted, and whose runs wait for the test twice.
struct Fragile(Arc<Barrier>);

struct Glass(i64);

impl Drop for Glass {
    fn drop(&mut self) {
        assert!(self.0 >= 0, "scripted panic of a prediction");
    }
}

impl Pipeline for Fragile {
    type Input = i64;
    type Features = i64;
    type Prediction = Glass;
    type Output = i64;

    fn validate(&self, _: &i64) -> Result<(), Rejection> {
        Ok(())
    }

    fn clean(&self, number: i64, _: &Facts) -> Result<i64, Rejection> {
        Ok(number)
    }

    fn predict_batch(&self, batch: &[i64]) -> Result<Vec<Glass>, ModelError> {
        if batch.contains(&-1) {
            self.0.wait();
            self.0.wait();
        }
        Ok(batch.iter().copied().map(Glass).collect())
    }

    fn format(&self, glass: Glass) -> i64 {
        glass.0
    }
}

#[test]
fn a_runner_that_dies_is_replaced() {
    let barrier = Arc::new(Barrier::new(2));
    let (metrics, mut page) = (Metrics::default(), Registry::default());
    metrics.register(&mut page);
    let builder = Engine::builder(Fragile(Arc::clone(&barrier))).metrics(&metrics, "fragile");
    let engine = builder.threads(ThreadPlan::for_cpus(1, ThreadWishes::default())).start();
    let mut leaves = engine.predict(-1).boxed();
    assert!(leaves.as_mut().now_or_never().is_none());
    barrier.wait(); // It is at the model.
    drop(leaves);
    barrier.wait(); // Its prediction is nobody's: the runner drops it.
    assert_eq!([1, 2, 3].map(|number| engine.predict_blocking(number)), [Ok(1), Ok(2), Ok(3)]);
    assert!(engine.is_running());
    let mut text = String::new();
    encode(&mut text, &page).expect("it can be written");
    assert!(text.contains("runners_replaced_total{model=\"fragile\"} 1\n"), "{text}");
}

#[test]
fn engines_of_two_versions_of_a_model_count_what_waits_together() {
    let (metrics, mut page) = (Metrics::default(), Registry::default());
    metrics.register(&mut page);
    let (gate, keeper) = gate();
    let held = Scripted { gate: Some(gate), ..Scripted::default() };
    let old = one_runner(held).metrics(&metrics, "model").start();
    let new = one_runner(Scripted::default()).metrics(&metrics, "model").start();
    let busy = occupy(&old, &keeper);
    let mut waiting = old.predict_many(vec![Item::Good(1), Item::Good(2)]).boxed();
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(new.predict_blocking(Item::Good(3)), Ok(6));
    let waits = |items: usize| {
        let mut text = String::new();
        encode(&mut text, &page).expect("it can be written");
        text.contains(&format!("queue_items{{model=\"model\"}} {items}\n"))
    };
    assert!(waits(2));
    keeper.let_pass();
    keeper.next_batch();
    assert!(waits(0));
    keeper.let_pass();
    assert_eq!(block_on(join(busy, waiting)).1, [Ok(2), Ok(4)]);
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
