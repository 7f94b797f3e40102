//! Files of comparisons and what is made of them.

use super::*;

const GOOD: &str = r#"{
    "title": "t", "data": "d.ndjson", "model": "m",
    "targets": [
        {"name": "a", "url": "http://x", "target": "a.json",
         "start": {"argv": ["serve"], "directory": "here"}},
        {"name": "b", "url": "http://y", "target": {"output": ""}, "only": ["s"], "keep": false},
        {"name": "raw", "limit": {"model": "m.onnx", "sessions": 2, "threads": 1, "batch": 8, "order": "sorted"}}
    ],
    "scenarios": [{"name": "s", "clients": 32, "threads": 2, "duration_s": 10}, {"name": "r", "rate": 5, "duration_s": 1}]
}"#;

fn parse(text: &str) -> Result<Plan, String> {
    let plan: Plan = serde_json::from_str(text).map_err(|error| error.to_string())?;
    plan.check().map(|()| plan)
}

#[test]
fn paths_are_relative_to_the_file() {
    let mut plan = parse(GOOD).unwrap();
    plan.resolve(Path::new("base"));
    assert_eq!(plan.data, Some(PathBuf::from("base/d.ndjson")));
    let Some(Described::File(path)) = &plan.targets[0].target else { panic!("{:?}", plan.targets[0]) };
    assert_eq!(*path, PathBuf::from("base/a.json"));
    assert_eq!(plan.targets[0].start.as_ref().unwrap().directory, PathBuf::from("base/here"));
    assert_eq!(plan.targets[2].limit.as_ref().unwrap().model, PathBuf::from("base/m.onnx"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let plan = parse(GOOD).unwrap();
    let [a, b, raw] = &plan.targets[..] else { panic!("{plan:?}") };
    assert_eq!((a.keep, b.keep), (true, false));
    let takes_part = |target: &PlanTarget| [0, 1].map(|at| target.takes_part(&plan.scenarios[at]));
    assert_eq!((takes_part(a), takes_part(b)), ([true, true], [true, false]));
    let limit = raw.limit.as_ref().unwrap();
    assert_eq!((limit.field.as_str(), limit.items.get()), ("text", 512));
    assert_eq!((plan.scenarios[0].batch.get(), plan.scenarios[0].warm_up_s), (1, 2.0));
    assert_eq!([0, 1].map(|at| plan.scenarios[at].threads.get()), [2, 1]);
}

#[test]
fn a_plan_that_cannot_be_measured_says_why() {
    let cases = [
        (
            r#""clients": 32, "threads": 2"#,
            r#""threads": 2"#,
            "scenario s: it needs either clients or a rate",
        ),
        (r#""rate": 5"#, r#""rate": 5, "clients": 1"#, "scenario r: it needs either clients or a rate"),
        (r#""duration_s": 10"#, r#""duration_s": 0"#, "scenario s: duration_s must be 0.1 to 86400"),
        (r#""only": ["s"]"#, r#""only": ["z"]"#, "target b: there is no scenario z"),
        (r#""url": "http://y", "#, "", "target b: it needs a url or a limit"),
        (r#", "model": "m""#, "", "target a: it has no model"),
        (r#""data": "d.ndjson", "#, "", "target a: it has no data"),
    ];
    for (good, bad, reason) in cases {
        assert!(GOOD.contains(good), "{good}");
        assert_eq!(parse(&GOOD.replacen(good, bad, 1)).unwrap_err(), reason);
    }
    let mistyped = GOOD.replace("\"keep\"", "\"kept\"");
    assert!(parse(&mistyped).unwrap_err().starts_with("unknown field `kept`"));
}

#[test]
fn only_what_is_named_is_left() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let plan = parse(GOOD).unwrap().only(&names(&["a", "raw"]), &names(&["r"])).unwrap();
    assert_eq!((plan.targets.len(), plan.scenarios.len()), (2, 1));
    let error = parse(GOOD).unwrap().only(&names(&["c"]), &[]).unwrap_err();
    assert_eq!(error.to_string(), "there is no target c, only a, b, raw");
}
