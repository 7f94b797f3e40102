//! The page of metrics: a form that scrapers read, and names that dashboards can rely on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::OnceLock;

use support::http::{get, post};
use support::process::Program;
use support::programs::example;

/// A number with all its series, as the page has it.
#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    unit: Option<String>,
    labels: BTreeSet<String>,
    samples: Vec<Sample>,
}

/// One line of the page: `ml_batch_items_bucket{model="iris",le="1.0"} 10`.
struct Sample {
    /// What follows the family's name: `_total`, `_bucket`.
    suffix: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Returns the page of a model that is a file, of a pipeline which looks facts up, and of a variant with a shadow: between
/// them they have every number.
fn pages() -> [String; 3] {
    let iris = Program::iris(&[]);
    let house_price = Program::new(example("house_price")).args(&["--port", "0"]);
    let house = r#"{"area_m2":90,"rooms":4,"age_years":30,"postcode":"10115"}"#;
    let sentiment = Program::new(example("sentiment"));
    let sentiment = sentiment.args(&[&with_a_variant(), "--port", "0", "--shadow-percent", "100"]);
    [
        page(iris, "iris", r#"{"features":[5.1,3.5,1.4,0.2]}"#),
        page(house_price, "house_price", house),
        page(sentiment, "sentiment", r#"{"text":"The soup was warm."}"#),
    ]
}

/// Makes a model folder with a variant that needs no measuring.
fn with_a_variant() -> String {
    static FOLDER: OnceLock<String> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics");
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-sentiment");
        std::fs::create_dir_all(&folder).unwrap();
        for (from, to) in [
            ("model.onnx", "model.onnx"),
            ("packed.onnx", "model.packed.onnx"),
            ("tokenizer.json", "tokenizer.json"),
        ] {
            std::fs::copy(data.join(from), folder.join(to)).unwrap();
        }
        folder.to_str().unwrap().to_owned()
    };
    FOLDER.get_or_init(make).clone()
}

/// Serves one right and one wrong request, and returns the page.
fn page(program: Program, model: &str, item: &str) -> String {
    let server = program.serve();
    let path = format!("/models/{model}/predict");
    assert_eq!(server.ask(&post(&path, item)).head.status, 200);
    server.ask(&post(&path, "nonsense"));
    let response = server.ask(&get("/metrics"));
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((response.head.status, response.head.header("content-type")), (200, Some(media)));
    let page = response.text();
    // Told to stop, so that the example ends its store too.
    assert_eq!(server.stop().code, Some(0));
    page
}

/// Reads the page. Every line must belong to the family that was named last, and no family comes twice.
fn read(page: &str) -> BTreeMap<String, Family> {
    let page = page.strip_suffix("# EOF\n").expect("the page has its end");
    let (mut families, mut name) = (BTreeMap::<String, Family>::new(), String::new());
    for line in page.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let (word, rest) = about.split_once(' ').expect(line);
            let (named, text) = rest.split_once(' ').expect(line);
            if named != name {
                assert!(
                    families.insert(named.to_owned(), Family::default()).is_none(),
                    "{named} comes twice"
                );
                name = named.to_owned();
            }
            let family = families.get_mut(&name).expect("just named");
            assert!(family.samples.is_empty(), "{line:?} comes after the numbers");
            match word {
                "TYPE" => family.kind = text.to_owned(),
                "HELP" => family.help = text.to_owned(),
                "UNIT" => family.unit = Some(text.to_owned()),
                _ => panic!("{line}"),
            }
        } else {
            let sample = sample(line.strip_prefix(&name).unwrap_or_else(|| panic!("{line:?} after {name}")));
            let family = families.get_mut(&name).expect("named before");
            let labels = sample.labels.iter().map(|(label, _)| label.clone());
            family.labels.extend(labels.filter(|label| label != "le"));
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (suffix, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').expect(line).split_terminator(',').map(|label| {
        let (label, quoted) = label.split_once('=').expect(line);
        let text = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect(line);
        (label.to_owned(), text.to_owned())
    });
    Sample { suffix: suffix.to_owned(), labels: labels.collect(), value: value.parse().expect(line) }
}

#[test]
fn the_page_is_one_that_scrapers_read() {
    pages().iter().for_each(|page| check_page(page));
}

fn check_page(page: &str) {
    let families = read(page);
    assert!(families.len() > 10, "{} families", families.len());
    for (name, family) in &families {
        assert!(!family.help.is_empty() && name.starts_with("ml_"), "{name}");
        assert!(family.unit.as_ref().is_none_or(|unit| name.ends_with(&format!("_{unit}"))), "{name}");
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_count", "_sum"],
            kind => panic!("{name} is a {kind}"),
        };
        let mut series = HashSet::new();
        for Sample { suffix, labels, value } in &family.samples {
            assert!(suffixes.contains(&suffix.as_str()), "{name}{suffix} is a {}", family.kind);
            assert!(series.insert((suffix, labels)), "{name}{suffix}{labels:?} comes twice");
            assert!(value.is_finite() && *value >= 0.0, "{name} is {value}");
        }
        if family.kind == "histogram" {
            check_buckets(name, &family.samples);
        }
    }
}

/// Expects buckets that rise up to `+Inf`, which holds as many as there are.
fn check_buckets(name: &str, samples: &[Sample]) {
    let without_bound = |sample: &Sample| -> Vec<_> {
        sample.labels.iter().filter(|(label, _)| label != "le").cloned().collect()
    };
    for count in samples.iter().filter(|sample| sample.suffix == "_count") {
        let of_series =
            |sample: &&Sample| sample.suffix == "_bucket" && without_bound(sample) == count.labels;
        let buckets: Vec<(f64, f64)> = samples
            .iter()
            .filter(of_series)
            .map(|sample| {
                let bound =
                    sample.labels.iter().find(|(label, _)| label == "le").expect("a bucket has a bound");
                (bound.1.parse().expect("a bound is a number"), sample.value)
            })
            .collect();
        assert!(buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{name}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count.value)), "{name}");
    }
}

#[test]
fn every_number_is_documented() {
    let mut table = String::from(
        "# Metrics\n\n\
         `GET /metrics` answers in the OpenMetrics text format. Counters end in `_total`, histograms in `_bucket`, `_count` \
         and\n`_sum`. Written by the tests: `UPDATE_DOCS=1 cargo test --test metrics`.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    let families: BTreeMap<_, _> = pages().iter().flat_map(|page| read(page)).collect();
    for (name, Family { kind, help, labels, .. }) in families {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let help = help.trim_end_matches('.');
        table.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).expect("the docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, table, "run UPDATE_DOCS=1 cargo test --test metrics and read the difference");
}
