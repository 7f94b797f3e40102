//! A crate of someone else's: it depends on ml-core and ml-serve, and stands in no workspace of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::http::post;
use support::process::Program;
use support::programs::{ROOT, target};

const MAIN: &str = include_str!("../examples/custom_pipeline.rs");

/// A crate in a folder of its own, with our versions of the dependencies; gone when dropped.
struct Outside {
    folder: PathBuf,
    target: PathBuf,
}

impl Outside {
    fn write() -> Self {
        let folder = std::env::temp_dir().join(format!("ml-outside-{}", std::process::id()));
        assert!(!folder.starts_with(ROOT), "{} is inside the workspace", folder.display());
        let path = |name| Path::new(ROOT).join("crates").join(name);
        let manifest = format!(
            "[package]\nname = \"outside\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nml-core = {{ path = {:?} }}\nml-serve = {{ path = {:?} }}\n\n\
             [profile.dev]\ndebug = false\nincremental = false\n",
            path("ml-core"),
            path("ml-serve")
        );
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), MAIN).unwrap();
        fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        // The dependencies stay built beside the workspace's own, so that the second time is quick.
        Self { folder, target: target().join("outside") }
    }

    fn cargo(&self, args: &[&str]) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).args(["--quiet", "--offline", "--target-dir"]).arg(&self.target);
        cargo.current_dir(&self.folder).output().expect("cargo runs")
    }

    fn build(&self) -> PathBuf {
        let built = self.cargo(&["build"]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        self.target.join("debug/outside")
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // The folder's name is new each time, so what was built of it would only pile up.
        drop(self.cargo(&["clean", "--package", "outside"]));
        drop(fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn a_crate_outside_the_workspace_serves_its_own_pipeline() {
    let outside = Outside::write();
    let server = Program::new(outside.build()).args(&["--port", "0"]).serve();
    let response = server.ask(&post("/models/shout/predict", "\"hello\""));
    assert_eq!((response.head.status, response.text().as_str()), (200, "\"HELLO!\""));
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
