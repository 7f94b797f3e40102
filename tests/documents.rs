//! The documents: what they name exists.
#![allow(clippy::expect_used, reason = "a failed expectation is what a test ends with")]

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let folders = [
        ".",
        "docs",
        "docs/decisions",
        "crates/ml-core",
        "crates/ml-serve",
        "crates/ml-sources",
        "examples/models/house_price",
        "examples/models/iris",
    ];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).expect(folder));
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    assert!(documents.len() > 8, "{documents:?}");
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("a readable document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let target = link.split('#').next().unwrap_or_default();
            let path = document.parent().expect("a file has a folder").join(target);
            assert!(link.contains("://") || path.exists(), "{}: {link} leads nowhere", document.display());
        }
    }
}

#[test]
fn every_place_that_the_architecture_names_exists() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let places: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(places.len() > 20, "{places:?}");
    for place in places {
        assert!(root().join(place).exists(), "ARCHITECTURE.md names {place}, which does not exist");
    }
}

#[test]
fn the_commands_of_the_readme_can_be_run() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("it is there");
    for command in ["scripts/demo", "scripts/test", "cargo run --example quickstart"] {
        assert!(text.contains(command), "the README no longer has {command}");
    }
    for script in ["scripts/demo", "scripts/test"] {
        let ran = std::process::Command::new("bash").arg("-n").arg(root().join(script)).status();
        assert!(ran.expect("bash is there").success(), "{script} is not valid bash");
        let script = std::fs::read_to_string(root().join(script)).expect("it is there");
        assert!(!script.contains("target/") && script.contains("tell_library"), "cargo may build elsewhere");
    }
}
