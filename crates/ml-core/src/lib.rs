#![doc = include_str!("../README.md")]

pub mod allocator;
mod engine;
mod error;
mod lookup;
mod numbers;
mod pipeline;
mod rejection;
mod runtime;
mod stage;
mod striped;
mod threads;
mod width;

pub use engine::{
    Answer, CacheOptions, CallOptions, Engine, EngineBuilder, Metrics, Priority, WhenFull, preprocess_pool,
};
pub use error::{Error, Full, ModelError};
#[doc(hidden)]
pub use lookup::CacheProbe;
pub use lookup::{
    Blocking, BreakerOptions, Each, Facts, FetchedEach, Key, Lookup, LookupCache, LookupCounts, LookupError,
    Otherwise, RetryOptions, Source, Tier, TierEntry, TierOptions, blocking, each,
};
pub use numbers::{Count, Counter, Histogram};
pub use pipeline::Pipeline;
pub use rejection::Rejection;
pub use runtime::{
    Device, Dimension, Element, ElementType, LoadError, LoadErrorKind, MANIFEST, MANIFEST_VERSION, Machine,
    Measured, Model, ModelOptions, Needs, NoDevice, NoTvm, ORIGINAL, OnnxRuntimeNotFound, OptimisedCopy,
    Output, Outputs, PassedOver, RuntimeChoice, Signature, Tensor, TensorInfo, UnknownDevice, Variant,
    VariantChoice, VariantError, content_digest, cosine, find_onnxruntime, largest,
};
pub use stage::{Stage, Timings};
pub use striped::Striped;
pub use threads::{ThreadPlan, ThreadWishes};
