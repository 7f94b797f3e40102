//! Finds ONNX Runtime's shared library, in a documented order, and says what was looked at when there is none.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest ONNX Runtime whose interface this crate is built against.
const MINOR_VERSION_MIN: u32 = ort::MINOR_VERSION;

/// The folder, somewhere above the executable, into which the project's own script puts the library.
const DOWNLOADS: &str = ".ml/onnxruntime";

/// Lists the libraries that lie in one of the places.
type Candidates = fn() -> Vec<PathBuf>;

/// A shared library that is recent enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOnnxRuntime {
    /// The library.
    pub path: PathBuf,
    /// Which of the places it was found in.
    pub place: &'static str,
    /// Its version, such as `1.31`.
    pub version: String,
}

/// Says where ONNX Runtime was looked for, what was wrong there, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnnxRuntimeNotFound {
    /// Each place, and why it would not do.
    pub looked: Vec<(String, String)>,
}

impl OnnxRuntimeNotFound {
    pub(super) fn at(path: &Path, reason: String) -> Self {
        Self { looked: vec![(path.display().to_string(), reason)] }
    }
}

impl std::error::Error for OnnxRuntimeNotFound {}

impl fmt::Display for OnnxRuntimeNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no ONNX Runtime 1.{MINOR_VERSION_MIN} or newer was found:")?;
        for (place, reason) in &self.looked {
            write!(f, " {place}: {reason};")?;
        }
        write!(
            f,
            " get it with `python3 scripts/get.py onnxruntime` in the project's folder, or with \
             `python3 -m pip install onnxruntime`, or set ORT_DYLIB_PATH to the library"
        )
    }
}

/// Finds ONNX Runtime: `explicit`, `ORT_DYLIB_PATH`, beside the executable, the project's download folder above
/// the executable, and an installed `onnxruntime` Python package, in that order.
///
/// A path that was given, as `explicit` or in the environment, is the only one looked at: a wrong one is an error
/// and not a reason to take another library. The current folder is never looked at, since a library found
/// there would run with the rights of whoever happens to stand there.
///
/// # Errors
/// Says each place, what was wrong there, and the command that gets the library.
pub fn find_onnxruntime(explicit: Option<&Path>) -> Result<FoundOnnxRuntime, OnnxRuntimeNotFound> {
    let named = |place, path: &Path| {
        check(path, place).map_err(|reason| OnnxRuntimeNotFound { looked: vec![looked(place, path, reason)] })
    };
    if let Some(path) = explicit {
        return named("the path that was given", path);
    }
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return named("ORT_DYLIB_PATH", Path::new(&path));
    }
    let mut not_found = OnnxRuntimeNotFound { looked: Vec::new() };
    // Each place is looked at only when those before it had nothing: the last one starts a Python.
    let places: [(&'static str, Candidates); 3] = [
        ("beside the executable", beside_executable),
        ("the project's folder .ml/onnxruntime above the executable", in_downloads),
        ("the Python package onnxruntime", in_python),
    ];
    for (place, candidates) in places {
        let candidates = candidates();
        if candidates.is_empty() {
            not_found.looked.push((place.to_owned(), "not there".to_owned()));
        }
        for path in candidates {
            match check(&path, place) {
                Ok(found) => return Ok(found),
                Err(reason) => not_found.looked.push(looked(place, &path, reason)),
            }
        }
    }
    Err(not_found)
}

fn looked(place: &str, path: &Path, reason: String) -> (String, String) {
    (format!("{place} ({})", path.display()), reason)
}

fn check(path: &Path, place: &'static str) -> Result<FoundOnnxRuntime, String> {
    if !path.is_file() {
        return Err("no such file".to_owned());
    }
    match ort::util::probe(path) {
        None => Err("not an ONNX Runtime for this system".to_owned()),
        Some(minor) if minor < MINOR_VERSION_MIN => Err(format!("version 1.{minor} is too old")),
        Some(minor) => Ok(FoundOnnxRuntime { path: path.to_owned(), place, version: format!("1.{minor}") }),
    }
}

fn beside_executable() -> Vec<PathBuf> {
    env::current_exe().ok().and_then(|exe| Some(libraries_in(exe.parent()?))).unwrap_or_default()
}

fn in_downloads() -> Vec<PathBuf> {
    let Ok(executable) = env::current_exe() else { return Vec::new() };
    let folders = executable.ancestors().skip(1).map(|folder| folder.join(DOWNLOADS));
    let versions = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.path()).collect();
    versions.sort();
    versions.iter().rev().flat_map(|folder| libraries_in(folder)).collect()
}

/// Asks Python, which alone knows where its packages lie (virtual environments, `PYTHONPATH`, user folders).
fn in_python() -> Vec<PathBuf> {
    const ASK: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                       print(s.submodule_search_locations[0] if s else '')";
    let asked = Command::new("python3").args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let answer =
        asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if answer.is_empty() { Vec::new() } else { libraries_in(&Path::new(&answer).join("capi")) }
}

/// Returns the files in `folder` that are named as ONNX Runtime's library is on any system.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let is_library = |name: &str| {
        name.starts_with("libonnxruntime.so")
            || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
            || name == "onnxruntime.dll"
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_library));
    named.map(|entry| entry.path()).collect()
}
