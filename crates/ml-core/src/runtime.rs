//! Model runtimes: one handle, [`Model`], over ONNX Runtime (the fast path), rten (pure Rust, always there), and Apache TVM
//! (models compiled ahead of time, behind the feature `tvm`).
//!
//! The foreign engines have one door each: `onnxruntime.rs`, `rten.rs` and `tvm.rs`. Nothing else names them.

mod device;
mod digest;
mod elastic;
mod error;
mod fidelity;
mod load;
mod onnxruntime;
mod rten;
mod shadow;
mod signature;
mod slots;
mod tensor;
mod tvm;
mod variants;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{ModelError, ThreadPlan};

pub use self::device::{Device, NoDevice, UnknownDevice};
pub use self::digest::content_digest;
pub use self::error::{LoadError, LoadErrorKind};
pub use self::fidelity::{cosine, largest};
pub use self::onnxruntime::{OnnxRuntimeNotFound, find_onnxruntime};
use self::shadow::Shadow;
pub(crate) use self::shadow::ShadowMetrics;
pub use self::signature::{Dimension, Signature, TensorInfo};
pub use self::tensor::{Element, ElementType, Tensor};
pub use self::tvm::NoTvm;
pub use self::variants::{
    MANIFEST, MANIFEST_VERSION, Machine, Measured, Needs, ORIGINAL, PassedOver, Variant, VariantChoice,
    VariantError,
};

/// Which runtime shall run a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// ONNX Runtime where its shared library is found, else rten.
    #[default]
    Auto,
    /// ONNX Runtime, or an error that says where it was looked for.
    OnnxRuntime,
    /// rten: compiled in, needs no shared library.
    Rten,
    /// Apache TVM: the model as `scripts/tvm/run` has compiled it, beside the ONNX file and named as that but for `.so`, or itself
    /// the file that is loaded. It runs on the thread that asks. An error where this crate was built without the feature `tvm`.
    Tvm,
}

/// Whether ONNX Runtime's optimised form of a model is kept on disk.
///
/// From such a copy a model is loaded in a fraction of the time, and its sessions share one mapping of the weights.
/// Models of some megabytes and less need none, and neither do models that store their weights in files of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OptimisedCopy {
    /// In `.optimised/`, in the folder of the model: made when there is none for this content, ONNX Runtime and CPU.
    /// Where the folder cannot be written to, the model is loaded without.
    #[default]
    BesideModel,
    /// Nowhere: nothing is written, and each session has weights of its own.
    Never,
}

/// How a model is to be loaded.
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    /// Which runtime shall run it.
    pub runtime: RuntimeChoice,
    /// ONNX Runtime's shared library; found by itself when not given. A wrong one is an error, and no reason for rten.
    pub onnxruntime_path: Option<PathBuf>,
    /// What it shall run on. One that is named and cannot be had is an error.
    pub device: Device,
    /// Sessions are `threads.runners`, each of `threads.intra_op` threads, and one of `threads.wide` threads for runs
    /// that have the machine to themselves.
    pub threads: ThreadPlan,
    /// Whether the optimised form of the model is kept on disk.
    pub optimised_copy: OptimisedCopy,
    /// Which form of the model serves, where there are variants beside it.
    pub variant: VariantChoice,
    /// Whether the caller can give packed batches, so that a variant may take them;
    /// [`Model::takes_packed_batches`] then says whether the one that was chosen does.
    pub packed_batches: bool,
    /// The share of a variant's runs, from 0 to 1, that the original repeats off the critical path, so that the metrics tell how
    /// far they are apart ([`Pipeline::models`](crate::Pipeline::models) says which models an engine counts). It takes the memory
    /// of the original, and one thread of the lowest priority.
    pub shadow_share: f64,
}

/// The model trait: what every runtime does.
trait Backend: Send + Sync {
    /// The runtime's name and version.
    fn name(&self) -> &str;
    /// What it runs on, never [`Device::Auto`].
    fn device(&self) -> Device;
    fn signature(&self) -> &Signature;
    /// How many runs can go on at once; further ones wait for the end of one.
    fn runs_at_once(&self) -> usize;
    /// Runs on inputs that were checked against the signature.
    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError>;
}

/// An output as its runtime owns it.
trait OutputTensor: Send + Sync {
    /// Views the tensor, without copying where the runtime holds the type as it is asked for.
    fn view(&self) -> Result<Tensor<'_>, ModelError>;

    /// Returns the elements as they lie in memory, in the order of their indices; `None` where they lie otherwise, as
    /// texts do.
    fn bytes(&self) -> Option<&[u8]>;
}

/// One output of a run, in the memory of its runtime for as long as this is kept.
///
/// It can be passed on without being copied; what it is a part of (the memory of the whole batch) stays with it.
pub struct Output(Box<dyn OutputTensor>);

impl Output {
    /// Views the output.
    ///
    /// # Errors
    /// When it is of a type that no [`Tensor`] has.
    pub fn tensor(&self) -> Result<Tensor<'_>, ModelError> {
        self.0.view()
    }

    /// Returns the elements as they lie in memory, row by row; `None` for texts, which do not.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.0.bytes()
    }
}

/// The outputs of one run, still in the runtime's memory.
pub struct Outputs(Vec<(String, Box<dyn OutputTensor>)>);

impl Outputs {
    /// Views an output as an array of `T`, without copying it.
    ///
    /// # Errors
    /// When the model has no output of that name, or one of another type.
    pub fn get<T: Element>(
        &self,
        name: &str,
    ) -> Result<ndarray::CowArray<'_, T, ndarray::IxDyn>, ModelError> {
        let tensor = self.tensor(name)?;
        let found = tensor.element();
        let wrong = || match found == T::TYPE {
            true => ModelError::new(format!("output {name} has a text that is not UTF-8")),
            false => ModelError::new(format!("output {name} is {found}, not {}", T::TYPE)),
        };
        T::from_tensor(tensor).ok_or_else(wrong)
    }

    /// Takes an output out, to be kept.
    ///
    /// # Errors
    /// When the model has no output of that name, or it was taken before.
    pub fn take(&mut self, name: &str) -> Result<Output, ModelError> {
        match self.0.iter().position(|(known, _)| known == name) {
            Some(index) => Ok(Output(self.0.swap_remove(index).1)),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> ModelError {
        let known: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        ModelError::new(format!("the model has no output {name}; it has {}", known.join(", ")))
    }

    /// Views an output of any type.
    ///
    /// # Errors
    /// When the model has no output of that name.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        let output = self.0.iter().find(|(known, _)| known == name);
        match output {
            Some((_, output)) => output.view(),
            None => Err(self.unknown(name)),
        }
    }
}

/// A loaded model: runs on as many threads at once as it has sessions. Cheap to clone.
///
/// ```
/// use ml_core::{Model, ModelOptions, RuntimeChoice};
/// use ndarray::array;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/iris/model.onnx");
/// let options = ModelOptions { runtime: RuntimeChoice::Rten, ..ModelOptions::default() };
/// let model = Model::load(path, &options)?;
/// let flower = array![[5.1_f32, 3.5, 1.4, 0.2]];
/// let outputs = model.run(vec![("features", flower.view().into())])?;
/// let probabilities = outputs.get::<f32>("probabilities")?;
/// assert_eq!(probabilities.shape(), [1, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Model(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    variant: Variant,
    backend: Box<dyn Backend>,
    shadow: Option<Shadow>,
}

impl Model {
    /// Counts what the shadow finds under this name, where there is one and nothing counts it yet.
    pub(crate) fn count_shadow(&self, metrics: &ShadowMetrics, name: &str) {
        if let Some(shadow) = &self.0.shadow {
            shadow.numbers().get_or_init(|| metrics.of_model(name));
        }
    }

    /// Returns the file that the model came from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Returns which form of the model serves, and why.
    pub fn variant(&self) -> &Variant {
        &self.0.variant
    }

    /// Returns whether the model takes packed batches, as its file says in its note `batches`.
    pub fn takes_packed_batches(&self) -> bool {
        self.signature().metadata.get("batches").is_some_and(|batches| batches == "packed")
    }

    /// Returns the name and version of the runtime that runs it.
    pub fn runtime(&self) -> &str {
        self.0.backend.name()
    }

    /// Returns what it runs on: never [`Device::Auto`].
    pub fn device(&self) -> Device {
        self.0.backend.device()
    }

    /// Returns how many runs can go on at once; further ones wait for the end of one. An engine has no more runners than that.
    ///
    /// That is [`ModelOptions::threads`]`.runners`, but 1 on a device that has one queue for all work, as a GPU has.
    pub fn runs_at_once(&self) -> usize {
        self.0.backend.runs_at_once()
    }

    /// Returns what the model takes and gives.
    pub fn signature(&self) -> &Signature {
        self.0.backend.signature()
    }

    /// Checks that the model has these inputs and outputs, so that a wrong file is refused when it is loaded.
    ///
    /// # Errors
    /// A [`LoadError`] names the file, what is missing, and what the model has.
    pub fn expect(&self, inputs: &[&str], outputs: &[&str]) -> Result<(), LoadError> {
        let signature = self.signature();
        let extra = signature.inputs.iter().find(|input| !inputs.contains(&input.name.as_str()));
        let missing = |wanted: &[&str], known: &[TensorInfo]| {
            wanted
                .iter()
                .find(|name| !known.iter().any(|info| info.name == **name))
                .map(|name| (*name).to_owned())
        };
        let reason = if let Some(name) = missing(inputs, &signature.inputs) {
            format!("it has no input {name}")
        } else if let Some(name) = missing(outputs, &signature.outputs) {
            format!("it has no output {name}")
        } else if let Some(info) = extra {
            format!("it needs the input {}, which nothing fills", info.name)
        } else {
            return Ok(());
        };
        Err(LoadError::new(self.path(), LoadErrorKind::WrongSignature(format!("{reason}; {signature}"))))
    }

    /// Runs the model; blocks while all sessions are busy.
    ///
    /// Inputs are borrowed and outputs are viewed in place: neither is copied.
    ///
    /// # Errors
    /// When an input is missing, unknown or of the wrong type or rank, or when the runtime fails.
    pub fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        self.signature().check(&inputs)?;
        let Loaded { backend, shadow, .. } = &*self.0;
        let asked = shadow.as_ref().and_then(|shadow| shadow.ask(&inputs));
        let outputs = backend.run(inputs)?;
        if let (Some(shadow), Some(asked)) = (shadow, asked) {
            shadow.repeat(asked, backend.signature(), &outputs);
        }
        Ok(outputs)
    }
}
