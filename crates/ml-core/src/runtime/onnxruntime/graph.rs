//! Where the weights of a model file are stored. The weights themselves are never read.

use std::path::Path;

use ml_onnx::proto::{External, TensorError};
use ml_onnx::{FileError, Model, Tensor};

/// What a file says about the weights outside of it.
#[derive(Debug, Default)]
pub struct Graph {
    /// The weights of the main graph that are stored in files of their own.
    pub outside: Vec<StoredTensor>,
    /// How many numbers the weights of the main graph have that are stored in the file itself.
    pub numbers_inside: u64,
    /// Whether something inside a node, such as the branch of an `If`, is stored in a file of its own.
    pub nodes_store_outside: bool,
}

/// A tensor whose data lie in a file of their own.
#[derive(Debug, Default)]
pub struct StoredTensor {
    pub name: String,
    /// Sizes; empty for a single number.
    pub shape: Vec<i64>,
    /// The number of its type in `TensorProto.DataType`.
    pub element: i32,
    /// The file, relative to the folder of the model.
    pub file: String,
    pub offset: u64,
    /// As written; without it, the data reach to the end of the file.
    pub length: Option<u64>,
}

/// Why a file does not say where its weights are.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// It cannot be read, or is not ONNX.
    #[error(transparent)]
    File(#[from] FileError),
    /// What it says makes no sense.
    #[error("tensor {name}: {error}")]
    Tensor { name: String, error: TensorError },
}

impl Graph {
    pub fn read(path: &Path) -> Result<Self, GraphError> {
        let graph = Model::read_graph(path)?.graph.unwrap_or_default();
        let mut found = Self { nodes_store_outside: nodes_store_outside(&graph), ..Self::default() };
        for tensor in graph.initializers {
            let external = tensor.external();
            match external.map_err(|error| GraphError::Tensor { name: tensor.name.clone(), error })? {
                Some(place) => found.outside.push(StoredTensor::new(tensor, place)),
                None => found.numbers_inside = found.numbers_inside.saturating_add(numbers(&tensor)),
            }
        }
        Ok(found)
    }
}

impl StoredTensor {
    fn new(tensor: Tensor, External { file, offset, length }: External) -> Self {
        let element = tensor.data_type.unwrap_or(0);
        Self { name: tensor.name, shape: tensor.dims, element, file, offset, length }
    }
}

fn numbers(tensor: &Tensor) -> u64 {
    tensor.dims.iter().map(|size| u64::try_from(*size).unwrap_or(0)).fold(1, u64::saturating_mul)
}

fn nodes_store_outside(graph: &ml_onnx::Graph) -> bool {
    graph.nodes.iter().flat_map(|node| &node.attributes).any(|attribute| {
        let inner = |graph: &ml_onnx::Graph| {
            graph.initializers.iter().any(Tensor::is_outside) || nodes_store_outside(graph)
        };
        attribute.tensors().any(Tensor::is_outside) || attribute.graphs().any(inner)
    })
}
