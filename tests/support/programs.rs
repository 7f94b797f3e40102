//! The workspace's programs: built once for each test process, as `cargo test --workspace` builds them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The workspace's folder.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the path of a program of the workspace.
pub fn binary(name: &str) -> PathBuf {
    built().join(name)
}

/// Returns the path of an example of the workspace.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// Returns the folder that cargo builds into: `target`, where nobody chose another.
pub fn target() -> PathBuf {
    profile().parent().expect("a profile's folder is in the target folder").to_owned()
}

/// Returns the folder of the profile that this test was built with.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    test.ancestors().nth(2).expect("tests are built into PROFILE/deps").to_owned()
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = profile();
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--workspace", "--bins", "--examples"])
            .args(["--profile", profile, "--target-dir"])
            .arg(target())
            .current_dir(ROOT)
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        folder
    })
}
