//! TVM's runtime library, found and loaded at most once in a process.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use super::NoTvm;

const FILE: &str = "libtvm_runtime.so";

/// TVM's own name for the folder of its libraries.
const VARIABLE: &str = "TVM_LIBRARY_PATH";

/// The folder, somewhere above the executable, into which the project's own script puts the library.
const DOWNLOADS: &str = ".ml/tvm";

/// Loads the runtime, the first time: from the folder that `TVM_LIBRARY_PATH` names, which is then the only one, from beside the
/// executable, or from `.ml/tvm` in a folder above it. The current folder is never looked at, as for ONNX Runtime.
pub(super) fn load() -> Result<(), NoTvm> {
    static LOADED: OnceLock<Result<Library, NoTvm>> = OnceLock::new();
    LOADED.get_or_init(|| open(&find()?)).as_ref().map(|_| ()).map_err(Clone::clone)
}

fn find() -> Result<PathBuf, NoTvm> {
    let folders = match env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => usual_folders(),
    };
    let looked = || folders.iter().map(|folder| format!("in {}", folder.display())).collect();
    let mut files = folders.iter().map(|folder| folder.join(FILE));
    files.find(|file| file.is_file()).ok_or_else(|| NoTvm::NotFound { looked: looked() })
}

fn usual_folders() -> Vec<PathBuf> {
    let Ok(executable) = env::current_exe() else { return Vec::new() };
    let above = executable.ancestors().skip(1);
    let beside = above.clone().take(1).map(Path::to_owned);
    beside.chain(above.map(|folder| folder.join(DOWNLOADS))).collect()
}

fn open(path: &Path) -> Result<Library, NoTvm> {
    // SAFETY: Loading runs the library's initialisers. It is TVM's, from a folder that the user named or that lies beside or above
    // the program: whoever can write there can replace the program, too. Its initialisers register functions under a lock,
    // from any thread, and it is never unloaded: the static that this goes into is not dropped.
    let opened = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) };
    // Global, because compiled models are linked against what it defines.
    opened.map_err(|error| NoTvm::NotLoaded { path: path.to_owned(), reason: error.to_string() })
}
