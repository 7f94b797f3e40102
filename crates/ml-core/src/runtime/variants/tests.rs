//! What is chosen of a folder of variants, and the reason.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Here, Machine, Variant, VariantChoice, VariantError, choose};
use crate::content_digest;

/// A model folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    /// Makes a folder with these files, each holding its own name.
    fn with(files: &[&str]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ml-core-variants-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|file| fs::write(folder.join(file), file).unwrap());
        Self(folder)
    }

    fn model(&self) -> PathBuf {
        self.0.join("model.onnx")
    }

    /// Writes a manifest of these variants; each line is what differs from a good one.
    fn measured(&self, place: &str, variants: &[(&str, &str)]) {
        let mut text = format!("version = 2\nitems = 5308\n{place}\n");
        for (name, differs) in [("original", "")].iter().chain(variants) {
            text.push_str(&self.entry(name, differs));
        }
        fs::write(self.0.join("variants.toml"), text).unwrap();
    }

    fn entry(&self, name: &str, differs: &str) -> String {
        let file = match name {
            "original" => "model.onnx".to_owned(),
            name => format!("model.{name}.onnx"),
        };
        let content = content_digest(self.0.join(&file)).unwrap_or_default();
        let speed = |mean: f64| format!("{{ mean = {mean:.2}, low = {mean:.2}, high = {mean:.2} }}");
        let fields = [
            ("name", format!("{name:?}")),
            ("file", format!("{file:?}")),
            ("content", format!("{content:?}")),
            ("packed", "false".to_owned()),
            ("compared", "false".to_owned()),
            ("for_task", "false".to_owned()),
            ("depends_on_batch", "false".to_owned()),
            ("needs", "\"nothing\"".to_owned()),
            ("refused", "[]".to_owned()),
            ("quality", "{ cosine_mean = 0.9987, flips = 0.0125 }".to_owned()),
            ("speeds", format!("{{ single = {}, sorted = {} }}", speed(2.0), speed(2.5))),
        ];
        let mut text = "[[variants]]\n".to_owned();
        for (key, usual) in fields {
            let given = differs.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
            text.push_str(&format!("{key} = {}\n", given.unwrap_or(&usual)));
        }
        text
    }

    fn choose(&self, choice: &str, here: Here) -> Result<(String, Variant), VariantError> {
        let choice = match choice {
            "auto" => VariantChoice::Auto,
            name => VariantChoice::Named(name.to_owned()),
        };
        let (file, variant) = choose(&self.model(), &choice, || here)?;
        assert_eq!(file.parent(), Some(self.0.as_path()));
        Ok((file.file_name().unwrap().to_string_lossy().into_owned(), variant))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const WITH_VNNI: &str = "x86_64 avx2 avx512f avx512vnni";
const PLACE: &str =
    "runtime = \"ONNX Runtime 1.31\"\nmachine = \"x86_64 avx2 avx512f avx512vnni\"\ndevice = \"cpu\"";

fn here(machine: &str, device: &str, packed: bool) -> Here {
    let runtime = "ONNX Runtime 1.32".to_owned();
    Here { machine: Machine::parse(machine), runtime, device: device.to_owned(), packed }
}

fn speed(sorted: f64) -> String {
    let speed = |mean: f64| format!("{{ mean = {mean:.2}, low = {mean:.2}, high = {mean:.2} }}");
    format!("speeds = {{ single = {}, sorted = {} }}", speed(2.0), speed(sorted))
}

/// Chooses by `auto` of one variant; its name, and why the original or the variant serves.
fn auto_of_one(differs: &str, place: Here) -> (String, String) {
    let folder = Folder::with(&["model.onnx", "model.one.onnx"]);
    folder.measured(PLACE, &[("one", differs)]);
    let (file, variant) = folder.choose("auto", place).unwrap();
    assert_eq!(file == "model.onnx", variant.name == "original");
    let reasons: Vec<String> = variant.passed_over.iter().map(ToString::to_string).collect();
    (variant.name, if reasons.is_empty() { variant.why } else { reasons.join("\n") })
}

const NUMBERS: &str =
    "2.50 × the original's speed in batches and 2.00 × alone, mean cosine 0.99870, 1.25 % other predictions";

#[test]
fn auto_takes_what_holds_its_gates_on_this_kind_of_machine() {
    let usual = || here(WITH_VNNI, "cpu", false);
    let taken = format!("it is the fastest that holds its gates here: {NUMBERS}");
    let for_task =
        format!("one: it is for its task only, its other outputs are not the original's: {NUMBERS}");
    let slow = format!("{}\nneeds = \"nothing\"", speed(0.94));
    let cases: Vec<(&str, Here, &str, &str)> = vec![
        ("", usual(), "one", &taken),
        ("needs = \"int8_products\"", usual(), "one", &taken),
        ("needs = \"int8_products\"", here("x86_64 avx2 avxvnni", "cpu", false), "one", &taken),
        (
            "needs = \"int8_products\"",
            here("x86_64 avx2 avx512f", "cpu", false),
            "original",
            "one: this CPU has no instruction for products of 8-bit integers",
        ),
        ("needs = \"wide_int8_products\"", usual(), "one", &taken),
        (
            "needs = \"wide_int8_products\"",
            here("x86_64 avx2 avxvnni", "cpu", false),
            "original",
            "one: it is for CPUs that multiply 8-bit integers in vectors of 512 bits",
        ),
        ("needs = \"accelerator\"", usual(), "original", "one: it is for other devices than CPUs: 2.50 ×"),
        ("packed = true", here(WITH_VNNI, "cpu", true), "one", &taken),
        ("packed = true", usual(), "original", "one: it takes packed batches, which this pipeline"),
        (
            "depends_on_batch = true",
            usual(),
            "original",
            "one: an answer depends on what else is in its batch",
        ),
        ("for_task = true", usual(), "original", &for_task),
        (
            "refused = [\"the mean cosine is 0.9, at least 0.998 is wanted\", \"b\"]",
            usual(),
            "original",
            "one: the mean cosine is 0.9, at least 0.998 is wanted; b",
        ),
        (&slow, usual(), "original", "one: it is not faster: 0.94 × the original's speed in batches"),
        (
            "",
            here("aarch64 dotprod", "cpu", false),
            "original",
            "the variants were measured on x86_64, and this is aarch64",
        ),
        (
            "",
            here(WITH_VNNI, "cuda:0", false),
            "original",
            "the variants were measured on cpu, and this is cuda:0",
        ),
        (
            "",
            Here { runtime: "rten 0.27".to_owned(), ..usual() },
            "original",
            "the variants were measured with ONNX Runtime, and this is rten",
        ),
        ("content = \"0123456789abcdef\"", usual(), "original", "one: model.one.onnx is not as it was"),
        ("file = \"../model.one.onnx\"", usual(), "original", "one: ../model.one.onnx is not in the folder"),
        ("file = \"model.gone.onnx\"", usual(), "original", "one: model.gone.onnx: No such file"),
    ];
    for (differs, place, name, reason) in cases {
        let (found, why) = auto_of_one(differs, place);
        assert!(found == name && why.starts_with(reason), "{differs}: {found}, {why}");
    }
}

#[test]
fn auto_takes_the_fastest_and_says_what_it_passed_over() {
    let folder = Folder::with(&["model.onnx", "model.a.onnx", "model.b.onnx", "model.c.onnx"]);
    let refused = format!("{}\nrefused = [\"no\"]", speed(9.0));
    folder.measured(PLACE, &[("a", &speed(2.1)), ("b", &speed(2.4)), ("c", &refused)]);
    let (file, variant) = folder.choose("auto", here(WITH_VNNI, "cpu", false)).unwrap();
    assert_eq!(file, "model.b.onnx");
    let reasons: Vec<String> = variant.passed_over.iter().map(ToString::to_string).collect();
    assert_eq!(reasons[0], "c: no");
    assert!(reasons[1].starts_with("a: it is slower: 2.10 ×"), "{reasons:?}");
    assert_eq!(variant.measured.unwrap().speed_sorted, 2.4);
}

#[test]
fn a_name_forces_a_variant_and_the_objections_are_told() {
    let folder = Folder::with(&["model.onnx", "model.a.onnx", "model.b.onnx"]);
    folder.measured(PLACE, &[("a", "refused = [\"the flips are 0.03\"]"), ("b", "packed = true")]);
    let usual = || here(WITH_VNNI, "cpu", false);
    let (file, variant) = folder.choose("a", usual()).unwrap();
    let why = "it was asked for by name, although the flips are 0.03";
    assert_eq!((file.as_str(), variant.why.as_str()), ("model.a.onnx", why));
    let (file, variant) = folder.choose("original", usual()).unwrap();
    assert_eq!((file.as_str(), variant.why.as_str()), ("model.onnx", "it was asked for by name"));
    for (name, reason) in [
        ("b", "its variant b takes packed batches, which this pipeline does not give"),
        ("int8", "there is no variant \"int8\" of it; there is original, a, b"),
    ] {
        assert_eq!(folder.choose(name, usual()).unwrap_err().to_string(), reason);
    }
    fs::write(folder.0.join("model.a.onnx"), "trained again").unwrap();
    let error = folder.choose("a", usual()).unwrap_err().to_string();
    assert!(error.starts_with("its variant a cannot serve: model.a.onnx is not as it was"), "{error}");
}

#[test]
fn a_manifest_of_another_model_is_not_believed() {
    let usual = || here(WITH_VNNI, "cpu", false);
    let folder = Folder::with(&["model.onnx", "model.a.onnx"]);
    folder.measured(PLACE, &[("a", "")]);
    fs::write(folder.model(), "trained again").unwrap();
    let reason = "model.onnx is not as it was when variants.toml was written";
    assert_eq!(folder.choose("auto", usual()).unwrap().1.why, reason);
    let error = folder.choose("a", usual()).unwrap_err().to_string();
    assert_eq!(error, format!("its variant a cannot serve: {reason}"));
    let other = folder.0.join("other.onnx");
    let (file, variant) = choose(&other, &VariantChoice::Auto, usual).unwrap();
    assert_eq!((file, variant.why.as_str()), (other, "variants.toml is not of other.onnx"));
}

#[test]
fn a_manifest_that_cannot_be_read_costs_auto_nothing() {
    let check = |text: &[u8], reason: &str| {
        let folder = Folder::with(&["model.onnx"]);
        fs::write(folder.0.join("variants.toml"), text).unwrap();
        let usual = || here(WITH_VNNI, "cpu", false);
        let (file, variant) = folder.choose("auto", usual()).unwrap();
        assert!(file == "model.onnx" && variant.why.contains(reason), "{}", variant.why);
        assert!(folder.choose("int8", usual()).unwrap_err().to_string().contains(reason));
    };
    check(b"version = 1\n", "it is of version 1, and 2 is read");
    check(b"version = 2\n", "missing field");
    check(b"no manifest", "variants.toml: TOML parse error");
    check(&[0xff], "UTF-8");
    check(&vec![b'#'; (1 << 20) + 1], "it has 1048577 bytes, at most 1048576 are read");
}

#[test]
fn a_packed_form_needs_no_measuring() {
    let usual = |packed| here(WITH_VNNI, "cpu", packed);
    let chosen = |files: &[&str], choice, packed| {
        Folder::with(files).choose(choice, usual(packed)).map(|(file, variant)| (file, variant.name))
    };
    let both = ["model.onnx", "model.packed.onnx"];
    let named = |file: &str, name: &str| Ok((file.to_owned(), name.to_owned()));
    assert_eq!(chosen(&both, "auto", true), named("model.packed.onnx", "packed"));
    assert_eq!(chosen(&both, "packed", true), named("model.packed.onnx", "packed"));
    assert_eq!(chosen(&both, "auto", false), named("model.onnx", "original"));
    assert_eq!(chosen(&both[..1], "auto", true), named("model.onnx", "original"));
    let error = chosen(&both, "packed", false).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no variant \"packed\" of it; there is only the original, and no variants.toml in its folder"
    );
}

#[test]
fn the_original_alone_is_read_for_no_manifest() {
    let file = Path::new("nowhere/model.onnx");
    let looked = || unreachable!("nothing is looked for");
    let (chosen, variant) = choose(file, &VariantChoice::Original, looked).unwrap();
    assert_eq!((chosen.as_path(), variant.name.as_str()), (file, "original"));
}
