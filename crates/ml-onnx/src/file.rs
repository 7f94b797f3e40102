//! Files: mapped when they are read, and whole when they appear under their name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use memmap2::Mmap;

use crate::external;
use crate::wire::{self, Message, Stream, WireError, encoded_len};
use crate::{Invalid, Model};

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: FileErrorKind,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileErrorKind {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(#[from] WireError),
    /// It breaks a rule of ONNX.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A tensor's elements cannot be brought in from another file.
    #[error("tensor {tensor}: {reason}")]
    External {
        /// The tensor.
        tensor: String,
        /// Why not.
        reason: String,
    },
    /// What is not weights is too large for a file of this format.
    #[error("the graph without its weights has {bytes} bytes, {limit_bytes} is the limit")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
}

/// How a model is to be written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// A model of more bytes has its weights in a file of their own, beside it. By default 2 GiB, the most that a message
    /// of Protocol Buffers may have.
    pub inline_bytes_max: u64,
}

/// The most bytes of a message.
const MESSAGE_BYTES_MAX: u64 = i32::MAX as u64;

impl Default for WriteOptions {
    fn default() -> Self {
        Self { inline_bytes_max: MESSAGE_BYTES_MAX }
    }
}

impl Model {
    /// Reads a file, and what lies in other files beside it. Weights stay on the disk until they are looked at.
    ///
    /// The files must not be changed while the model is in use; replacing them by others is fine.
    ///
    /// # Errors
    /// When a file cannot be read, is not ONNX, or does not hold what the model says.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let mut model = Self::read_graph(path)?;
        let brought_in = external::bring_in(&mut model, folder(path));
        brought_in.map_err(|kind| FileError { path: path.to_owned(), kind })?;
        Ok(model)
    }

    /// Reads a file and no other: tensors may lie outside of it, see [`Tensor::external`](crate::Tensor::external).
    ///
    /// # Errors
    /// When the file cannot be read or is not ONNX.
    pub fn read_graph(path: &Path) -> Result<Self, FileError> {
        let error = |kind| FileError { path: path.to_owned(), kind };
        let bytes = map(path).map_err(|reason| error(reason.into()))?;
        Self::from_bytes(bytes).map_err(|reason| error(reason.into()))
    }

    /// Reads the bytes of a file, without copying them.
    ///
    /// # Errors
    /// When they are not ONNX.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, WireError> {
        wire::decode(bytes)
    }

    /// Returns how many bytes the model takes as one file.
    pub fn bytes(&self) -> u64 {
        encoded_len(self)
    }

    /// Writes the model under a name; what was there is replaced when the new file is whole.
    ///
    /// # Errors
    /// When the disk refuses, or the graph is too large.
    pub fn write(&self, path: &Path, options: WriteOptions) -> Result<(), FileError> {
        let written = if self.bytes() <= options.inline_bytes_max {
            write_file(path, |file| put(self, file))
        } else {
            self.write_with_weights_outside(path)
        };
        written.map_err(|kind| FileError { path: path.to_owned(), kind })
    }

    fn write_with_weights_outside(&self, path: &Path) -> Result<(), FileErrorKind> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{name}.data");
        let (graph, weights) = external::take_out(self, &name);
        let bytes = graph.bytes();
        if bytes > MESSAGE_BYTES_MAX {
            return Err(FileErrorKind::TooLarge { bytes, limit_bytes: MESSAGE_BYTES_MAX });
        }
        write_file(&path.with_file_name(&name), |file| external::put(&weights, file))?;
        write_file(path, |file| put(&graph, file))
    }
}

/// Returns the folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Maps a file.
pub(crate) fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: The mapping is read-only and private to this process. That nobody changes or shortens the file meanwhile
    // is what every user of mapped files relies on, ONNX Runtime's own loading included, and what `Model::read` asks
    // of its caller; this crate itself never writes into an existing file, it replaces them (`write_file`).
    let mapping = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(mapping))
}

fn put(model: &Model, file: &mut impl Write) -> io::Result<()> {
    let mut stream = Stream::new(file);
    model.put(&mut stream);
    stream.finish().map(drop)
}

/// Writes a file beside its place and moves it there when it is whole.
fn write_file(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileErrorKind> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let written = File::create(&part).and_then(|file| {
        let mut file = BufWriter::with_capacity(1 << 20, file);
        content(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&part, path)
    });
    if written.is_err() {
        // The error is what the caller is told; that a useless file stays behind is not.
        let _ = fs::remove_file(&part);
    }
    Ok(written?)
}
