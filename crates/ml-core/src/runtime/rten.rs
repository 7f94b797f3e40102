//! The door to rten: pure Rust, compiled in, so that a model runs on a machine with nothing installed.
//!
//! rten knows four element types. 64-bit integers and booleans travel as 32-bit integers, checked for range.

use std::path::Path;
use std::sync::Arc;

use ndarray::{ArrayViewD, CowArray, IxDyn};
use rten::{DataType, NodeId, RunOptions, ThreadPool, Value, ValueOrView, ValueType, ValueView};
use rten_tensor::{AsView, Layout};
use zerocopy::IntoBytes;

use super::elastic::Elastic;
use super::tensor::narrow;
use super::{
    Backend, Device, Dimension, ElementType, LoadError, LoadErrorKind, ModelOptions, OutputTensor, Outputs,
    Signature, Tensor, TensorInfo,
};
use crate::{ModelError, ThreadPlan};

pub(super) const NAME: &str = "rten 0.27";

struct Rten {
    model: rten::Model,
    signature: Signature,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    /// One for each runner, so that concurrent runs do not wait for each other's threads, and a wide one.
    pools: Elastic<Arc<ThreadPool>>,
}

pub(super) fn load(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    let model = rten::ModelOptions::with_all_ops()
        .prepack_weights(true)
        .load_file(path)
        .map_err(|error| load_error(path, &error))?;
    let (inputs, outputs) = (model.input_ids().to_vec(), model.output_ids().to_vec());
    let infos = |ids: &[NodeId]| ids.iter().map(|id| info(&model, *id, path)).collect::<Result<Vec<_>, _>>();
    let signature = Signature {
        inputs: infos(&inputs)?,
        outputs: infos(&outputs)?,
        metadata: model.metadata().fields().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    };
    let ThreadPlan { runners, intra_op, wide, .. } = options.threads;
    let pool = |threads| Arc::new(ThreadPool::with_num_threads(threads));
    let narrow = (0..runners.max(1)).map(|_| pool(intra_op)).collect();
    let pools = Elastic::new(narrow, (wide > intra_op).then(|| pool(wide)));
    Ok(Box::new(Rten { model, signature, inputs, outputs, pools }))
}

fn load_error(path: &Path, error: &rten::LoadError) -> LoadError {
    use rten::LoadErrorKind as Kind;
    match error.kind() {
        Kind::ParseError | Kind::UnknownFileType => {
            LoadError::new(path, LoadErrorKind::NotOnnx(error.to_string()))
        }
        _ => LoadError::unsupported(path, NAME, error),
    }
}

fn info(model: &rten::Model, id: NodeId, path: &Path) -> Result<TensorInfo, LoadError> {
    let node = model.node_info(id);
    let name = node.as_ref().and_then(|node| node.name()).unwrap_or_default().to_owned();
    let shape = node.as_ref().and_then(rten::NodeInfo::shape);
    let shape = shape.map(|sizes| sizes.into_iter().map(dimension).collect());
    let element = match node.and_then(|node| node.dtype()) {
        // rten does not know the type of every output before it runs; those are floats in practice.
        Some(ValueType::Tensor(DataType::Float)) | None => ElementType::F32,
        Some(ValueType::Tensor(DataType::Int32)) => ElementType::I32,
        Some(ValueType::Tensor(DataType::Int8)) => ElementType::I8,
        Some(ValueType::Tensor(DataType::UInt8)) => ElementType::U8,
        Some(other) => {
            return Err(LoadError::unsupported(path, NAME, format!("{name} is {other:?}, not a tensor")));
        }
    };
    Ok(TensorInfo { name, element, shape })
}

fn dimension(size: rten::Dimension) -> Dimension {
    match size {
        rten::Dimension::Fixed(size) => Dimension::Fixed(size),
        rten::Dimension::Symbolic(name) => Dimension::Dynamic(name),
    }
}

impl Backend for Rten {
    fn name(&self) -> &str {
        NAME
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn runs_at_once(&self) -> usize {
        self.pools.at_once()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        let inputs: Vec<_> =
            inputs.into_iter().map(|(name, tensor)| (name, standard_layout(tensor))).collect();
        let values =
            inputs.iter().map(|(name, tensor)| Ok((self.input_id(name)?, input_value(name, tensor)?)));
        let values = values.collect::<Result<Vec<_>, ModelError>>()?;
        let outputs = self.pools.with(|pool| {
            let options = RunOptions::default().with_thread_pool(Some(Arc::clone(pool)));
            self.model.run(values, &self.outputs, Some(options)).map_err(ModelError::new)
        })?;
        let names = self.signature.outputs.iter().map(|info| info.name.clone());
        let outputs = outputs.into_iter().map(|value| Box::new(value) as Box<dyn OutputTensor>);
        Ok(Outputs(names.zip(outputs).collect()))
    }
}

impl Rten {
    fn input_id(&self, name: &str) -> Result<NodeId, ModelError> {
        let known = self.signature.inputs.iter().position(|info| info.name == name);
        let id = known.and_then(|index| self.inputs.get(index)).copied();
        id.ok_or_else(|| ModelError::new(format!("there is no input {name}")))
    }
}

/// Makes the elements lie in memory in the order of their indices; copies only where they do not.
fn standard_layout(tensor: Tensor<'_>) -> Tensor<'_> {
    fn standard<T: Clone>(array: CowArray<'_, T, IxDyn>) -> CowArray<'_, T, IxDyn> {
        if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned().into() }
    }
    match tensor {
        Tensor::F32(array) => Tensor::F32(standard(array)),
        Tensor::I32(array) => Tensor::I32(standard(array)),
        Tensor::I8(array) => Tensor::I8(standard(array)),
        Tensor::U8(array) => Tensor::U8(standard(array)),
        other => other, // These are converted, which makes a new array in any case.
    }
}

fn input_value<'a>(name: &str, tensor: &'a Tensor<'_>) -> Result<ValueOrView<'a>, ModelError> {
    let shape = tensor.shape();
    let view = match tensor {
        Tensor::F32(array) => {
            array.as_slice().map(|data| ValueView::from_shape(shape, data).map_err(ModelError::new))
        }
        Tensor::I32(array) => {
            array.as_slice().map(|data| ValueView::from_shape(shape, data).map_err(ModelError::new))
        }
        Tensor::I8(array) => {
            array.as_slice().map(|data| ValueView::from_shape(shape, data).map_err(ModelError::new))
        }
        Tensor::U8(array) => {
            array.as_slice().map(|data| ValueView::from_shape(shape, data).map_err(ModelError::new))
        }
        Tensor::I64(array) => {
            let narrow = |value: &i64| narrow("rten", name, *value);
            return owned(shape, array.iter().map(narrow).collect::<Result<_, _>>()?);
        }
        Tensor::Bool(array) => return owned(shape, array.iter().copied().map(i32::from).collect()),
        other => return Err(ModelError::new(format!("input {name}: rten has no type {}", other.element()))),
    };
    let view = view.unwrap_or_else(|| Err(ModelError::new(format!("input {name} is not contiguous"))))?;
    Ok(ValueOrView::View(view))
}

fn owned<'a>(shape: &[usize], data: Vec<i32>) -> Result<ValueOrView<'a>, ModelError> {
    Ok(ValueOrView::Value(Value::from_shape(shape, data).map_err(ModelError::new)?))
}

impl OutputTensor for Value {
    fn view(&self) -> Result<Tensor<'_>, ModelError> {
        match self {
            Self::FloatTensor(tensor) => Ok(Tensor::F32(array(tensor)?)),
            Self::Int32Tensor(tensor) => Ok(Tensor::I32(array(tensor)?)),
            Self::Int8Tensor(tensor) => Ok(Tensor::I8(array(tensor)?)),
            Self::UInt8Tensor(tensor) => Ok(Tensor::U8(array(tensor)?)),
            _ => Err(ModelError::new("the output is a sequence, not a tensor")),
        }
    }

    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::FloatTensor(tensor) => tensor.data().map(<[f32]>::as_bytes),
            Self::Int32Tensor(tensor) => tensor.data().map(<[i32]>::as_bytes),
            Self::Int8Tensor(tensor) => tensor.data().map(<[i8]>::as_bytes),
            Self::UInt8Tensor(tensor) => tensor.data(),
            _ => None,
        }
    }
}

fn array<T: Clone>(tensor: &rten_tensor::Tensor<T>) -> Result<CowArray<'_, T, IxDyn>, ModelError> {
    let shape = IxDyn(tensor.shape());
    match tensor.data() {
        Some(data) => Ok(ArrayViewD::from_shape(shape, data)?.into()),
        None => Ok(ndarray::ArrayD::from_shape_vec(shape, tensor.to_vec())?.into()),
    }
}
