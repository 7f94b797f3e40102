//! The weights of a model, mapped once and given to each of its sessions.
//!
//! ONNX Runtime keeps weights that it was given (`AddInitializer`) where they are, and keeps one pre-packed copy of
//! them in a container (`PrepackedWeights`). It shares neither for weights that it reads from a file by itself.

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use ml_onnx::beside;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::sys::ONNXTensorElementDataType as ElementType;
use ort::value::DynValue;
use ort::{AsPointer, Error};

use super::graph::StoredTensor;

/// A file of weights, mapped read-only. Must outlive the sessions that were given the weights.
pub struct Mapping {
    file: String,
    memory: MmapRaw,
}

/// The weights as sessions take them.
pub struct Weights {
    named: Vec<(String, Arc<DynValue>)>,
    prepacked: PrepackedWeights,
}

/// Why weights cannot be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file of the weights cannot be opened or mapped.
    #[error("{file}: {error}")]
    Unreadable { file: String, error: io::Error },
    /// The graph and the file do not belong together, or one of them is damaged.
    #[error("{file} does not hold the weights {name}")]
    Mismatch { file: String, name: String },
    /// ONNX Runtime refused the tensor.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl Weights {
    /// Maps the files that `tensors` are stored in, relative to `folder`.
    pub fn map(folder: &Path, tensors: &[StoredTensor]) -> Result<(Self, Vec<Mapping>), MapError> {
        let mut mappings: Vec<Mapping> = Vec::new();
        for StoredTensor { file, .. } in tensors {
            if !mappings.iter().any(|mapping| mapping.file == *file) {
                mappings.push(Mapping::new(folder, file)?);
            }
        }
        let mut named = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let mapping = mappings.iter().find(|mapping| mapping.file == tensor.file);
            let value = mapping.and_then(|mapping| mapping.value(tensor).transpose()).transpose()?;
            // A tensor without a value is read by each session from the file.
            named.extend(value.map(|value| (tensor.name.clone(), Arc::new(value))));
        }
        Ok((Self { named, prepacked: PrepackedWeights::new() }, mappings))
    }

    /// Lets the session be built on these weights.
    pub fn give_to(&self, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
        let builder = builder.with_prepacked_weights(&self.prepacked)?;
        self.named.iter().try_fold(builder, |builder, (name, value)| {
            Ok(builder.with_initializer(name, Arc::clone(value))?)
        })
    }
}

impl Mapping {
    fn new(folder: &Path, file: &str) -> Result<Self, MapError> {
        let unreadable = |error| MapError::Unreadable { file: file.to_owned(), error };
        let opened = beside(folder, file).and_then(File::open).map_err(unreadable)?;
        let memory = MmapOptions::new().map_raw_read_only(&opened).map_err(unreadable)?;
        Ok(Self { file: file.to_owned(), memory })
    }

    /// Returns the tensor in place; `None` for what must be read another way: unaligned, empty, or of a rare type.
    fn value(&self, tensor: &StoredTensor) -> Result<Option<DynValue>, MapError> {
        let mismatch = || MapError::Mismatch { file: self.file.clone(), name: tensor.name.clone() };
        let Some((element, element_size)) = element(tensor.element) else { return Ok(None) };
        let size = tensor
            .shape
            .iter()
            .try_fold(element_size, |size, dimension| size.checked_mul(usize::try_from(*dimension).ok()?));
        let size = size.ok_or_else(mismatch)?;
        let offset = usize::try_from(tensor.offset).map_err(|_| mismatch())?;
        let length_agrees = tensor.length.is_none_or(|length| length == size as u64);
        let fits = offset.checked_add(size).is_some_and(|end| end <= self.memory.len());
        if !length_agrees || !fits {
            return Err(mismatch());
        }
        if size == 0 || offset % element_size != 0 {
            return Ok(None);
        }
        let mut value = ptr::null_mut();
        let cpu = MemoryInfo::default();
        // SAFETY: `offset..offset + size` was just checked to lie in the mapping, which begins at a page and so keeps
        // the alignment of `offset`; `size` is what the shape and the type say. The tensor borrows the memory without
        // a lifetime: `Mapping`'s owner keeps it until the sessions are gone (see `OnnxRuntime`). ONNX Runtime
        // writes to no weights, so that a read-only mapping is enough. That nobody shortens the file meanwhile is
        // what every user of mapped files relies on, ONNX Runtime's own loading of such files included; copies that
        // we made are only ever replaced by new files.
        let status = unsafe {
            let data = self.memory.as_mut_ptr().add(offset).cast();
            let (shape, rank) = (tensor.shape.as_ptr(), tensor.shape.len());
            let create = ort::api().CreateTensorWithDataAsOrtValue;
            Error::result_from_status(create(cpu.ptr(), data, size, shape, rank, element, &raw mut value))
        };
        status?;
        let Some(value) = NonNull::new(value) else { return Err(mismatch()) };
        // SAFETY: The call above made this value, a tensor in CPU memory, and nothing else owns it.
        Ok(Some(unsafe { DynValue::from_ptr(value, Some(&Allocator::default())) }))
    }

    pub fn size_bytes(&self) -> usize {
        self.memory.len()
    }

    /// Gives back the pages that only pre-packing read; the others return from the page cache when they are read.
    pub fn release_pages(&self) {
        #[cfg(unix)]
        {
            // SAFETY: The mapping is of a file and is never written to, so that a page reads the same when it returns.
            let released = unsafe { self.memory.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            if let Err(error) = released {
                tracing::debug!(%error, file = self.file, "the pages of mapped weights stay");
            }
        }
    }
}

/// Returns the type of this number in `TensorProto.DataType`, and the size of its elements in bytes.
///
/// `None` for text and for types smaller than a byte.
fn element(number: i32) -> Option<(ElementType, usize)> {
    Some(match number {
        1 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4),
        2 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1),
        3 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1),
        4 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, 2),
        5 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, 2),
        6 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4),
        7 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8),
        9 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1),
        10 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2),
        11 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8),
        12 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, 4),
        13 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, 8),
        16 => (ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, 2),
        _ => return None,
    })
}
