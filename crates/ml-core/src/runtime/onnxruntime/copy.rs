//! The optimised copy of a model: its graph as ONNX Runtime has optimised it, beside a file of the weights to map.
//!
//! Copies lie in `.optimised/`, in the folder of the model. The name of a copy says what it was made from and for, so
//! that one for another content, ONNX Runtime or CPU is not found at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use crate::content_digest;

const FOLDER: &str = ".optimised";
const GRAPH: &str = "graph.onnx";
const UNUSABLE: &str = "unusable.txt";

/// Two hashes in hexadecimal digits, each with a dash.
const KEY_BYTES: usize = 34;

/// The file of the weights, as the graph names it.
pub const WEIGHTS: &str = "weights.bin";

/// Where the copy of one model is, or would be.
pub struct Copy {
    /// The folder of all copies.
    folder: PathBuf,
    /// What this copy was made from and for, in [`KEY_BYTES`] bytes, and the file name of the model.
    name: OsString,
}

impl Copy {
    /// Finds the place of the copy of `model` made for `environment`.
    ///
    /// The model is known by its content ([`content_digest`]): a size and a time would also refuse a copy that was made when
    /// an image was built. ONNX Runtime takes five times as long to load a model as it takes to read it.
    pub fn of(model: &Path, environment: &str) -> io::Result<Self> {
        let content = content_digest(model)?;
        let environment = XxHash3_64::oneshot(environment.as_bytes());
        let mut name = OsString::from(format!("{content}-{environment:016x}-"));
        name.push(model.file_name().unwrap_or_default());
        let beside = model.parent().unwrap_or(Path::new(""));
        Ok(Self { folder: beside.join(FOLDER), name })
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub fn graph(&self) -> PathBuf {
        self.folder().join(GRAPH)
    }

    /// Whether the copy is there, complete or damaged.
    pub fn exists(&self) -> bool {
        self.graph().is_file()
    }

    /// Whether a copy was tried before, with this content, ONNX Runtime and CPU, and cannot be used.
    pub fn is_unusable(&self) -> bool {
        self.folder().join(UNUSABLE).is_file()
    }

    /// Leaves a note instead of a copy, so that later starts need not try.
    pub fn mark_unusable(&self, reason: &str) -> io::Result<()> {
        remove(&self.folder())?;
        fs::create_dir_all(self.folder())?;
        fs::write(self.folder().join(UNUSABLE), reason)
    }

    /// Makes the copy: `write` is told where to put the graph, and puts the weights beside it.
    ///
    /// Of several starters one writes while the others wait, and then find the copy; only with `replace` it is made
    /// again. The copy gets its name when it is complete and on the disk, so that a crash leaves none.
    ///
    /// # Errors
    /// When the folder cannot be written to, or when `write` fails.
    pub fn make<E: From<io::Error>>(
        &self,
        replace: bool,
        write: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        fs::create_dir_all(&self.folder)?;
        // What is derived belongs into no repository.
        fs::write(self.folder.join(".gitignore"), "*\n")?;
        let lock = File::create(self.folder.join("lock"))?;
        lock.lock()?;
        if self.exists() && !replace {
            return Ok(());
        }
        let unfinished = self.folder.join("unfinished");
        remove(&unfinished)?;
        fs::create_dir(&unfinished)?;
        let graph = unfinished.join(GRAPH);
        if let Err(error) = write(&graph) {
            remove(&unfinished)?;
            return Err(error);
        }
        File::open(&graph)?.sync_all()?;
        File::open(unfinished.join(WEIGHTS))?.sync_all()?;
        remove(&self.folder())?;
        fs::rename(&unfinished, self.folder())?;
        self.remove_others()?;
        Ok(())
    }

    /// Removes the copies for what the model was before: there is one a model. Who has mapped one keeps its memory.
    fn remove_others(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let file_name = |name: &OsStr| name.as_encoded_bytes().get(KEY_BYTES..).map(<[u8]>::to_vec);
            if file_name(&name) == file_name(&self.name) && name != self.name {
                remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
