//! Weights in files of their own, which models over 2 GiB must have.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::file::{FileErrorKind, map};
use crate::proto::{Entry, External};
use crate::{Graph, Model, Tensor};

/// Where tensors begin in a written file: at pages, so that they can be mapped one by one.
const ALIGNMENT_BYTES: u64 = 4096;

/// A smaller tensor stays in the graph.
const OUTSIDE_BYTES_MIN: usize = 1024;

/// Lets every tensor of the model have its elements, as slices of mapped files.
pub(crate) fn bring_in(model: &mut Model, folder: &Path) -> Result<(), FileErrorKind> {
    let mut files = HashMap::new();
    model.graph.as_mut().map_or(Ok(()), |graph| {
        graph.try_tensors_mut(&mut |tensor| {
            let brought = bring_in_tensor(tensor, folder, &mut files);
            brought.map_err(|reason| FileErrorKind::External { tensor: tensor.name.clone(), reason })
        })
    })
}

fn bring_in_tensor(
    tensor: &mut Tensor,
    folder: &Path,
    files: &mut HashMap<String, Bytes>,
) -> Result<(), String> {
    let text = |error: crate::proto::TensorError| error.to_string();
    let Some(External { file, offset, length }) = tensor.external().map_err(text)? else { return Ok(()) };
    let bytes = match files.get(&file) {
        Some(bytes) => bytes,
        None => {
            let bytes = beside(folder, &file)
                .and_then(|path| map(&path))
                .map_err(|error| format!("{file}: {error}"))?;
            files.entry(file.clone()).or_insert(bytes)
        }
    };
    let element = tensor.element().ok_or("its type is unknown, so is its length")?;
    let wanted = (tensor.count().map_err(text)? * element.bits()).div_ceil(8);
    if length.is_some_and(|length| length != wanted as u64) {
        return Err(format!("its sizes ask for {wanted} bytes, {} are stored", length.unwrap_or(0)));
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = start.checked_add(wanted).filter(|end| *end <= bytes.len());
    let end = end.ok_or_else(|| format!("{wanted} bytes at {offset} are not within {file}"))?;
    tensor.raw_data = Some(bytes.slice(start..end));
    tensor.data_location = None;
    tensor.external_data.clear();
    Ok(())
}

/// Returns where a file is that a model in `folder` names.
///
/// # Errors
/// A model is data from elsewhere: it may name files beside itself, and no others.
pub fn beside(folder: &Path, file: &str) -> io::Result<PathBuf> {
    let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if file.is_empty() || !Path::new(file).components().all(inside) {
        return Err(io::Error::other("not in the folder of the model"));
    }
    Ok(folder.join(file))
}

/// Returns the model with its weights outside, in a file of this name, and these in order.
pub(crate) fn take_out(model: &Model, file: &str) -> (Model, Vec<Bytes>) {
    let mut model = model.clone();
    let (mut weights, mut offset) = (Vec::new(), 0);
    let initializers = model.graph.iter_mut().flat_map(|graph| &mut graph.initializers);
    for tensor in initializers {
        let Some(raw) = tensor.raw_data.take_if(|raw| raw.len() >= OUTSIDE_BYTES_MIN) else { continue };
        let notes = [
            ("location", file.to_owned()),
            ("offset", offset.to_string()),
            ("length", raw.len().to_string()),
        ];
        tensor.external_data = notes
            .into_iter()
            .map(|(key, value)| Entry { key: Some(key.to_owned()), value: Some(value), ..Entry::default() })
            .collect();
        tensor.data_location = Some(1);
        offset = (offset + raw.len() as u64).next_multiple_of(ALIGNMENT_BYTES);
        weights.push(raw);
    }
    (model, weights)
}

/// Writes weights where [`take_out`] said that they are.
pub(crate) fn put(weights: &[Bytes], file: &mut impl Write) -> io::Result<()> {
    let zeros = [0; ALIGNMENT_BYTES as usize];
    for (index, raw) in weights.iter().enumerate() {
        file.write_all(raw)?;
        let filled = raw.len() % zeros.len();
        if filled > 0 && index + 1 < weights.len() {
            file.write_all(&zeros[filled..])?;
        }
    }
    Ok(())
}

impl Graph {
    /// Visits every tensor, those inside nodes included.
    fn try_tensors_mut<E>(&mut self, visit: &mut impl FnMut(&mut Tensor) -> Result<(), E>) -> Result<(), E> {
        let sparse = self.sparse_initializers.iter_mut().filter_map(|tensor| tensor.values.as_mut());
        self.initializers.iter_mut().chain(sparse).try_for_each(&mut *visit)?;
        for attribute in self.nodes.iter_mut().flat_map(|node| &mut node.attributes) {
            attribute.tensors_mut().try_for_each(&mut *visit)?;
            // Named, so that the type of the visitor does not grow with the depth.
            attribute.graphs_mut().try_for_each(|graph| graph.try_tensors_mut(visit))?;
        }
        Ok(())
    }
}
