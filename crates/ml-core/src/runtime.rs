//! Model runtimes: one handle, [`Model`], over ONNX Runtime (the fast path), rten (pure Rust, always there), and Apache TVM
//! (models compiled ahead of time, behind the feature `tvm`).
//!
//! The foreign engines have one door each: `onnxruntime.rs`, `rten.rs` and `tvm.rs`. Nothing else names them.

mod digest;
mod elastic;
mod error;
mod fidelity;
mod onnxruntime;
mod rten;
mod shadow;
mod slots;
mod tensor;
mod tvm;
mod variants;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{ModelError, ThreadPlan};

pub use self::digest::content_digest;
pub use self::error::{LoadError, LoadErrorKind};
pub use self::fidelity::{cosine, largest};
pub use self::onnxruntime::{OnnxRuntimeNotFound, find_onnxruntime};
use self::shadow::Shadow;
pub(crate) use self::shadow::ShadowMetrics;
pub use self::tensor::{Element, ElementType, Tensor};
pub use self::tvm::NoTvm;
use self::variants::Here;
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

/// One size of a tensor's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Always this size.
    Fixed(usize),
    /// Chosen by the caller; the name as the model's author wrote it, empty where there is none.
    Dynamic(String),
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name in the graph.
    pub name: String,
    /// The type of its elements. rten keeps 64-bit integers and booleans as `I32`, and takes either.
    pub element: ElementType,
    /// Its sizes; `None` where the model does not say.
    pub shape: Option<Vec<Dimension>>,
}

/// What a model file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The tensors that a run takes.
    pub inputs: Vec<TensorInfo>,
    /// The tensors that a run gives.
    pub outputs: Vec<TensorInfo>,
    /// The file's own notes: labels, licence, whatever its author wrote.
    pub metadata: BTreeMap<String, String>,
}

/// The model trait: what every runtime does.
trait Backend: Send + Sync {
    /// The runtime's name and version.
    fn name(&self) -> &str;
    fn signature(&self) -> &Signature;
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
    /// Loads an ONNX file, or the variant of it that the options choose.
    ///
    /// With [`RuntimeChoice::Auto`], a machine without ONNX Runtime gets rten, unless the options name a library; which
    /// one runs, and what the other would gain, is logged.
    ///
    /// # Errors
    /// A [`LoadError`] names the file and the reason: no such file, not ONNX, an opset or operator that the
    /// runtime does not know, no runtime, no such variant.
    pub fn load(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self, LoadError> {
        let original = path.as_ref();
        let (path, variant) = variants::choose(original, &options.variant, || Here::of(options))
            .map_err(|error| LoadError::new(original, LoadErrorKind::NoVariant(error)))?;
        let backend = Self::load_backend(&path, options)?;
        let passed_over: Vec<String> = variant.passed_over.iter().map(ToString::to_string).collect();
        tracing::info!(
            model = %path.display(),
            variant = variant.name,
            why = variant.why,
            passed_over = passed_over.join("; "),
            runtime = backend.name(),
            sessions = options.threads.runners,
            threads_per_session = options.threads.intra_op,
            threads_of_lone_run = options.threads.wide,
            "model loaded"
        );
        let shadow = (options.shadow_share > 0.0).then(|| Self::load_shadow(original, &variant, options));
        let shadow = shadow.transpose()?.flatten();
        Ok(Self(Arc::new(Loaded { path, variant, backend, shadow })))
    }

    fn load_backend(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
        error::check_file(path)?;
        match options.runtime {
            RuntimeChoice::Rten => rten::load(path, options),
            RuntimeChoice::Tvm => tvm::load(path, options),
            RuntimeChoice::OnnxRuntime => onnxruntime::load(path, options),
            RuntimeChoice::Auto => Self::load_auto(path, options),
        }
    }

    /// Loads the original beside a variant; `None` where it serves itself.
    fn load_shadow(
        original: &Path,
        variant: &Variant,
        options: &ModelOptions,
    ) -> Result<Option<Shadow>, LoadError> {
        if variant.name == ORIGINAL {
            tracing::info!(model = %original.display(), "no shadow: the original serves");
            return Ok(None);
        }
        let path = original.to_owned();
        let threads = ThreadPlan { runners: 1, intra_op: 1, wide: 1, ..options.threads };
        let options = ModelOptions { threads, ..options.clone() };
        let share = options.shadow_share;
        tracing::info!(model = %original.display(), share, "the original repeats a share of the runs");
        Shadow::start(share, move || Self::load_backend(&path, &options)).map(Some)
    }

    /// Counts what the shadow finds under this name, where there is one and nothing counts it yet.
    pub(crate) fn count_shadow(&self, metrics: &ShadowMetrics, name: &str) {
        if let Some(shadow) = &self.0.shadow {
            shadow.numbers().get_or_init(|| metrics.of_model(name));
        }
    }

    fn load_auto(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
        match onnxruntime::load(path, options) {
            Err(LoadError { kind: LoadErrorKind::NoRuntime(not_found), .. })
                // Who names a library wants that one.
                if options.onnxruntime_path.is_none() =>
            {
                tracing::warn!(
                    %not_found,
                    "running on rten, in pure Rust; ONNX Runtime would add its contributed operators, half \
                     precision and other devices, and about 1.15 times the speed on batches"
                );
                rten::load(path, options)
            }
            loaded => loaded,
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

impl Here {
    /// Finds out what a variant must suit. ONNX Runtime is looked for here, as it is when a model is loaded.
    fn of(options: &ModelOptions) -> Self {
        let found = match options.runtime {
            RuntimeChoice::Rten => None,
            RuntimeChoice::Tvm => Some(tvm::NAME.to_owned()),
            RuntimeChoice::OnnxRuntime | RuntimeChoice::Auto => {
                onnxruntime::name(options.onnxruntime_path.as_deref())
            }
        };
        Self {
            machine: Machine::here(),
            runtime: found.unwrap_or_else(|| rten::NAME.to_owned()),
            device: "cpu".to_owned(),
            packed: options.packed_batches,
        }
    }
}

impl Signature {
    fn check(&self, inputs: &[(&str, Tensor<'_>)]) -> Result<(), ModelError> {
        for info in &self.inputs {
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == info.name) else {
                return Err(ModelError::new(format!("input {} is missing; {self}", info.name)));
            };
            info.check(tensor)?;
        }
        match inputs.iter().find(|(name, _)| !self.inputs.iter().any(|info| info.name == *name)) {
            Some((name, _)) => Err(ModelError::new(format!("there is no input {name}; {self}"))),
            None => Ok(()),
        }
    }
}

impl TensorInfo {
    /// Returns whether the input takes elements of this type: its own, and what its runtime holds as its own.
    pub fn takes(&self, element: ElementType) -> bool {
        element == self.element || element.is_held_as(self.element)
    }

    fn check(&self, tensor: &Tensor<'_>) -> Result<(), ModelError> {
        let Self { name, element, shape } = self;
        if !self.takes(tensor.element()) {
            return Err(ModelError::new(format!("input {name} is {}, not {element}", tensor.element())));
        }
        let Some(shape) = shape else { return Ok(()) };
        let given = tensor.shape();
        let fits = |(size, dimension): (&usize, &Dimension)| match dimension {
            Dimension::Fixed(fixed) => size == fixed,
            Dimension::Dynamic(_) => true,
        };
        if given.len() != shape.len() || !given.iter().zip(shape).all(fits) {
            return Err(ModelError::new(format!("input {name} has the shape {given:?}, not {self}")));
        }
        Ok(())
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Dynamic(name) if name.is_empty() => f.write_str("?"),
            Self::Dynamic(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.element)?;
        let Some(shape) = &self.shape else { return Ok(()) };
        let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |infos: &[TensorInfo]| infos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "the model takes {} and gives {}", list(&self.inputs), list(&self.outputs))
    }
}
