//! The door to models that Apache TVM has compiled ahead of time, behind the cargo feature `tvm`.
//!
//! Such a model is a shared library: code, weights and a signature, made by `scripts/tvm/run`.

#[cfg(feature = "tvm")]
mod compiled;
#[cfg(feature = "tvm")]
mod described;
#[cfg(feature = "tvm")]
mod library;
#[cfg(feature = "tvm")]
mod session;
#[cfg(feature = "tvm")]
mod values;

use std::path::PathBuf;

#[cfg(feature = "tvm")]
pub(super) use self::compiled::load;

/// The runtime's name; a loaded model's has the version that compiled it, too.
pub(super) const NAME: &str = "TVM";

/// Why no model that TVM has compiled can be loaded here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTvm {
    /// The program was built without it.
    #[error("this program was built without TVM: build it with the cargo feature `tvm`")]
    NotBuilt,
    /// The library that runs compiled models is in none of the places.
    #[error(
        "TVM's libtvm_runtime.so was not found: looked {}; get it with `scripts/tvm/run`, or set TVM_LIBRARY_PATH to its \
         folder",
        .looked.join(", ")
    )]
    NotFound {
        /// Where it was looked for.
        looked: Vec<String>,
    },
    /// The library is there and cannot be loaded.
    #[error("TVM's {}: {reason}", .path.display())]
    NotLoaded {
        /// The library.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

#[cfg(not(feature = "tvm"))]
pub(super) fn load(
    path: &std::path::Path,
    _: &super::ModelOptions,
) -> Result<Box<dyn super::Backend>, super::LoadError> {
    Err(super::LoadError::new(path, NoTvm::NotBuilt.into()))
}
