//! The examples do what they say, on whatever runtime this machine has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use support::http::{Connection, post};
use support::process::Program;
use support::programs::example;

#[test]
fn the_quickstart_names_the_species_on_either_runtime() {
    let quickstart = || Program::new(example("quickstart"));
    let without_onnxruntime = quickstart().env("ORT_DYLIB_PATH", "/nonexistent");
    for (program, runtime) in [(quickstart(), ""), (without_onnxruntime, "rten")] {
        let ended = program.run();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let mut lines = ended.stdout.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with(&format!("running on {runtime}")), "{first}");
        assert_eq!(lines.next(), Some(""));
        // The words up to the probability, or to the reason.
        let answers: Vec<_> =
            lines.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            answers,
            ["0: setosa", "1: versicolor", "2: invalid_item", "3: virginica", "4: setosa"],
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn the_custom_pipeline_answers_over_http() {
    let server = Program::new(example("custom_pipeline")).args(&["--port", "0"]).serve();
    let cases = [
        (r#""hello""#, 200, r#""HELLO!""#),
        (r#"" straße ""#, 200, r#""STRASSE!""#),
        (
            r#""""#,
            422,
            r#"{"code":"invalid_item","message":"text breaks the rule not_empty","field":"text","rule":"not_empty"}"#,
        ),
    ];
    for (item, status, expected) in cases {
        let response = server.ask(&post("/models/shout/predict", item));
        assert_eq!((response.head.status, response.text().as_str()), (status, expected), "{item}");
    }
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

const HOUSE_PRICE: &str = "/models/house_price/predict";

fn house(rooms: u8, postcode: &str) -> String {
    format!(r#"{{"area_m2": 90, "rooms": {rooms}, "age_years": 30, "postcode": "{postcode}"}}"#)
}

#[test]
fn the_house_price_joins_facts_from_redis_and_an_http_service() {
    let server = Program::new(example("house_price")).args(&["--port", "0"]).serve();
    let ask = |rooms, postcode: &str| {
        let response = server.ask(&post(HOUSE_PRICE, house(rooms, postcode)));
        assert_eq!(response.head.status, 200, "{}", response.text());
        let timing = response.head.header("server-timing").unwrap_or_default().to_owned();
        (response.text(), timing)
    };
    // The price falls with the minutes to the centre, which the service says, and rises with the district's income.
    let price = |postcode: &str| {
        let (text, timing) = ask(4, postcode);
        assert!(timing.contains("lookup;dur=") && timing.contains(r#";desc="fetched=2", "#), "{timing}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        answer["price_keur"].as_f64().unwrap()
    };
    let (poor_far, rich_near) = (price("10029"), price("10010"));
    assert!(rich_near > 0.0 && poor_far > 0.0 && rich_near != poor_far, "{rich_near} {poor_far}");
    // Another house there: both facts are remembered, and the minutes, which are fresh for a second, may be stale by now.
    let (_, timing) = ask(5, "10029");
    let remembered = [r#";desc="hits=2", "#, r#";desc="hits=1 stale=1", "#];
    assert!(remembered.iter().any(|counts| timing.contains(counts)), "{timing}");
    let unknown = server.ask(&post(HOUSE_PRICE, house(4, "99999")));
    assert_eq!(unknown.head.status, 422, "{}", unknown.text());
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn the_house_price_bridges_what_goes_wrong_with_the_service() {
    let server = Program::new(example("house_price")).args(&["--port", "0"]).serve();
    let line = server.line_of_output("travel service at http://");
    let service = line.rsplit("http://").next().unwrap().trim().parse().expect("it is an address");
    let switch = |trouble: &str| {
        let switched = Connection::open(service).unwrap().ask(&post(&format!("/switch?{trouble}"), ""));
        assert_eq!(switched.head.status, 204, "{trouble}: {}", switched.text());
    };
    let ask = |rooms, postcode: &str| server.ask(&post(HOUSE_PRICE, house(rooms, postcode)));
    assert_eq!(ask(1, "10001").head.status, 200);
    for (rooms, trouble, unknown) in
        [(2, "outage=true", "10002"), (3, "errors_percent=100", "10003"), (4, "latency_ms=3600000", "10004")]
    {
        switch(trouble);
        let (known, unknown) = (ask(rooms, "10001"), ask(rooms, unknown));
        assert_eq!(known.head.status, 200, "{trouble}: it is remembered: {}", known.text());
        assert_eq!(unknown.head.status, 502, "{trouble}: {}", unknown.text());
        assert!(unknown.text().contains("the lookup in travel failed: "), "{trouble}: {}", unknown.text());
    }
    switch("");
    while ask(5, "10005").head.status != 200 {
        std::thread::yield_now();
    }
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
