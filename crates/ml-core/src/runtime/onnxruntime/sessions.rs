//! All sessions of a model: built on one copy of the weights where that is possible.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ml_kernels::FloatLinear;
use ml_onnx::passes::PackedAttention;
use ml_onnx::{FileError, Model, Pass, WriteOptions, fuse_linears, leave_rows_stored};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::copy::{self, Copy};
use super::environment::LoadedRuntime;
use super::graph::{Graph, GraphError};
use super::operators::Operators;
use super::provider;
use super::weights::{MapError, Mapping, Weights};
use crate::{Device, ModelOptions, OptimisedCopy, ThreadPlan};

/// Fusions that make this model form slower on a CPU than the plain nodes they replace.
///
/// `SkipLayerNormFusion` costs 9 to 12 % on int8 encoders and gains nothing in fp32 (all-MiniLM-L6-v2,
/// ONNX Runtime 1.31.1, AVX-512): `SkipLayerNormalization` ran 250 ms where `Add` and `LayerNormalization` ran 91.
const SLOW_FUSIONS: &str = "SkipLayerNormFusion";

/// A model with fewer numbers has nothing worth sharing, and is loaded as fast as its copy would be found. Trees have
/// none: they are attributes of their node.
const COPY_NUMBERS_MIN: u64 = 1 << 20;

/// A smaller tensor stays in the graph of a copy, and each session has its own: in the mapped file a read of it brings
/// 64 KiB into memory, since Linux maps so much around what is touched.
const STORED_TENSOR_BYTES_MIN: &str = "65536";

/// A smaller table is mapped with the other weights: to read a row from the file is a system call.
const STORED_TABLE_BYTES_MIN: u64 = 8 << 20;

/// A smaller linear layer is not worth a node of our own.
const FUSED_WEIGHTS_MIN: usize = 1 << 14;

/// The sessions of one model, and what they were built on.
pub struct Sessions {
    pub narrow: Vec<Session>,
    pub wide: Option<Session>,
    pub weights: Vec<Mapping>,
}

/// Why the sessions do not share their weights.
#[derive(Debug, thiserror::Error)]
enum NotShared {
    #[error("the copy cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("the graph cannot be read: {0}")]
    Graph(#[from] GraphError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the weights cannot be mapped: {0}")]
    Map(#[from] MapError),
    #[error("it was tried before, and failed: see unusable.txt in the folder of the copies")]
    TriedBefore,
    #[error("ONNX Runtime: {0}")]
    Session(#[from] ort::Error),
}

/// Builds the sessions of `model`; they share their weights where they can.
pub fn build(runtime: &LoadedRuntime, model: &Path, options: &ModelOptions) -> ort::Result<Sessions> {
    if options.device != Device::Cpu {
        let factory = Factory::new(runtime, threads_beside(options), options.device);
        return factory.sessions(model, GraphOptimizationLevel::All, None);
    }
    let factory = Factory::new(runtime, options.threads, Device::Cpu);
    match factory.shared(model, options.optimised_copy) {
        Ok(Some(sessions)) => return Ok(sessions),
        Ok(None) => {}
        Err(reason) => {
            tracing::warn!(model = %model.display(), %reason, "no optimised copy: each session has weights of its own");
        }
    }
    factory.sessions(model, GraphOptimizationLevel::All, None)
}

/// Returns how many sessions there are on another device than the CPU, and their threads.
fn threads_beside(options: &ModelOptions) -> ThreadPlan {
    match options.device {
        // It computes on the CPU, where each session has its own threads. It packs the weights in each, and shares none.
        Device::OpenVino => options.threads,
        // The device has its own copy of the weights, and one queue for all work: more sessions would only take more memory.
        _ => ThreadPlan { runners: 1, wide: options.threads.intra_op, ..options.threads },
    }
}

struct Factory<'a> {
    runtime: &'a LoadedRuntime,
    threads: ThreadPlan,
    device: Device,
    operators: Operators,
}

impl<'a> Factory<'a> {
    fn new(runtime: &'a LoadedRuntime, threads: ThreadPlan, device: Device) -> Self {
        Self { runtime, threads, device, operators: Operators::with_weights(0) }
    }

    /// Builds sessions on one copy of the weights; `None` where there is none that could be shared.
    fn shared(&self, model: &Path, copy: OptimisedCopy) -> Result<Option<Sessions>, NotShared> {
        let graph = Graph::read(model)?;
        if !graph.outside.is_empty() {
            // Weights in files of their own need no copy to be mapped.
            return Ok(Some(self.on_weights_of(model, &graph, GraphOptimizationLevel::All)?));
        }
        if copy == OptimisedCopy::Never
            || graph.nodes_store_outside
            || graph.numbers_inside < COPY_NUMBERS_MIN
        {
            return Ok(None);
        }
        let copy = Copy::of(model, &environment_of_copies())?;
        if copy.is_unusable() {
            return Err(NotShared::TriedBefore);
        }
        let sessions = self.on_copy_made_where_needed(model, &copy);
        if let Err(NotShared::Session(error)) = &sessions {
            // ONNX Runtime cannot save this model, or one of its kernels cannot share what it packs.
            copy.mark_unusable(error.message())?;
        }
        sessions.map(Some)
    }

    fn on_copy_made_where_needed(&self, model: &Path, copy: &Copy) -> Result<Sessions, NotShared> {
        let mut damaged = false;
        if copy.exists() {
            match self.on_copy(copy) {
                Ok(sessions) => return Ok(sessions),
                Err(reason) => {
                    tracing::warn!(copy = %copy.folder().display(), %reason, "the optimised copy is made again");
                    damaged = true;
                }
            }
        }
        copy.make(damaged, |graph| {
            self.write_copy(model, graph)?;
            use_own_operators(graph)
        })?;
        self.on_copy(copy)
    }

    fn on_copy(&self, copy: &Copy) -> Result<Sessions, NotShared> {
        let path = copy.graph();
        // What was optimised is not optimised again: the sessions are the same as the one that wrote the copy.
        self.on_weights_of(&path, &Graph::read(&path)?, GraphOptimizationLevel::Disable)
    }

    fn on_weights_of(
        &self,
        path: &Path,
        graph: &Graph,
        level: GraphOptimizationLevel,
    ) -> Result<Sessions, NotShared> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let (weights, mappings) = Weights::map(folder, &graph.outside)?;
        // Room for what is not packed is never touched. A graph may name more than there is.
        let lengths = graph.outside.iter().filter_map(|tensor| usize::try_from(tensor.length?).ok());
        let mapped = mappings.iter().map(Mapping::size_bytes).sum();
        let operators = Operators::with_weights(lengths.fold(0, usize::saturating_add).min(mapped));
        let sessions = Self { operators, ..*self }.sessions(path, level, Some(&weights))?;
        mappings.iter().for_each(Mapping::release_pages);
        Ok(Sessions { weights: mappings, ..sessions })
    }

    fn sessions(
        &self,
        path: &Path,
        level: GraphOptimizationLevel,
        weights: Option<&Weights>,
    ) -> ort::Result<Sessions> {
        let ThreadPlan { runners, intra_op, wide, .. } = self.threads;
        let finished = |builder: SessionBuilder| {
            let builder = builder.with_optimization_level(level)?;
            match weights {
                Some(weights) => weights.give_to(builder),
                None => Ok(builder),
            }
        };
        let mut narrow_builder = finished(self.builder(intra_op, path)?)?;
        let narrow = (0..runners.max(1)).map(|_| self.opened(&mut narrow_builder, path));
        let narrow = narrow.collect::<ort::Result<_>>()?;
        let wide_session = || self.opened(&mut finished(self.wide_builder(wide, path)?)?, path);
        let wide = (wide > intra_op).then(wide_session).transpose()?;
        Ok(Sessions { narrow, wide, weights: Vec::new() })
    }

    /// The wide session's threads spin while it runs, and stop when the run ends.
    ///
    /// Its run has the machine to itself, and wakes its threads some sixty times: 0.81 to 0.86 × the time of one whose
    /// threads sleep in between, at no more CPU time (one text, all-MiniLM-L6-v2, two cores). Without the stop they go on
    /// spinning after the run, and whatever runs next takes 1.4 × as long.
    fn wide_builder(&self, threads: usize, model: &Path) -> ort::Result<SessionBuilder> {
        Ok(self
            .builder(threads, model)?
            .with_intra_op_spinning(true)?
            .with_config_entry("session.force_spinning_stop", "1")?
            .with_dynamic_block_base(4)?)
    }

    /// Options chosen on purpose; each that differs from ONNX Runtime's default has its reason here.
    fn builder(&self, threads: usize, model: &Path) -> ort::Result<SessionBuilder> {
        let folder = model.parent().unwrap_or(Path::new(""));
        let mut builder = provider::on(self.device, threads, Session::builder(&self.runtime.environment)?)?;
        if self.device == Device::Cpu {
            builder = builder.with_disabled_optimizers(SLOW_FUSIONS)?;
        }
        if self.runtime.has_arena {
            builder = builder.with_env_allocators()?;
        }
        Ok(builder
            // Weights stay out of the arena, which would round them up and never give them back.
            .with_device_allocated_initializers()?
            .with_operators(self.operators.domain(threads, folder)?)?
            // ONNX Runtime sizes its pools from the host; our plan knows the cgroup.
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_parallel_execution(false)?
            // Waiting threads sleep: spinning took 28 to 41 % more CPU an item and made two callers slower.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // Patterns are kept for each shape that was ever seen; lengths vary here, so they would only pile up.
            .with_memory_pattern(false)?)
    }

    /// Lets a session optimise `model` and write what it made of it to `graph`, with the weights beside it.
    fn write_copy(&self, model: &Path, graph: &Path) -> ort::Result<()> {
        let mut builder = self
            .builder(1, model)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            // This session writes and never runs.
            .with_prepacking(false)?
            .with_optimized_model_path(graph)?
            .with_config_entry("session.optimized_model_external_initializers_file_name", copy::WEIGHTS)?
            .with_config_entry(
                "session.optimized_model_external_initializers_min_size_in_bytes",
                STORED_TENSOR_BYTES_MIN,
            )?;
        self.opened(&mut builder, model)?;
        Ok(())
    }

    /// Opens a session.
    ///
    /// ONNX Runtime enters the domain of our operators into a list of the whole process with the first session, and does not guard the
    /// list: of two first sessions at once, one fails. So until one was opened, they are opened one after the other; on other devices they
    /// always are, since those of CUDA's provider race, too (docling.rs #452).
    fn opened(&self, builder: &mut SessionBuilder, path: &Path) -> ort::Result<Session> {
        static ENTERED: Mutex<bool> = Mutex::new(false);
        static ON_DEVICE: Mutex<()> = Mutex::new(());
        let on_device = self.device != Device::Cpu;
        let _alone = on_device.then(|| ON_DEVICE.lock().unwrap_or_else(PoisonError::into_inner));
        let mut entered = ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
        if *entered {
            drop(entered);
            return builder.commit_from_file(path);
        }
        let session = builder.commit_from_file(path)?;
        *entered = true;
        Ok(session)
    }
}

/// Lets our operators compute what they compute better than ONNX Runtime's: large tables, such as the embeddings of words, which stay in
/// the file of the weights, and where the machine has the instructions, linear layers and attention of packed texts.
fn use_own_operators(graph: &Path) -> Result<(), NotShared> {
    let mut copy = Model::read_graph(graph)?;
    let mut changed = 0;
    if cfg!(unix) {
        changed += leave_rows_stored(&mut copy, STORED_TABLE_BYTES_MIN);
    }
    if FloatLinear::is_fast() {
        changed += fuse_linears(&mut copy, FUSED_WEIGHTS_MIN);
        // Most models have none, which is all that can be wrong.
        changed += usize::from(PackedAttention::default().apply(&mut copy).is_ok());
    }
    if changed > 0 {
        copy.write(graph, WriteOptions::default())?;
    }
    Ok(())
}

/// Everything but the model that decides what a copy looks like: another value is another copy.
fn environment_of_copies() -> String {
    // To be counted up when the options of `write_copy` change, or what our operators compute.
    const VERSION: u32 = 4;
    // The build information names the version and the commit.
    format!("{VERSION} {} {SLOW_FUSIONS} {}", ort::info(), cpu_features())
}

/// The features of the CPU that ONNX Runtime's layouts and kernels depend on.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> String {
    let features = [
        std::is_x86_feature_detected!("avx"),
        std::is_x86_feature_detected!("avx2"),
        std::is_x86_feature_detected!("fma"),
        std::is_x86_feature_detected!("avx512f"),
        std::is_x86_feature_detected!("avx512vnni"),
        std::is_x86_feature_detected!("avxvnni"),
    ];
    format!("x86_64 {features:?}")
}

#[cfg(target_arch = "aarch64")]
fn cpu_features() -> String {
    let features = [
        std::arch::is_aarch64_feature_detected!("dotprod"),
        std::arch::is_aarch64_feature_detected!("i8mm"),
        std::arch::is_aarch64_feature_detected!("bf16"),
        std::arch::is_aarch64_feature_detected!("fp16"),
    ];
    format!("aarch64 {features:?}")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> String {
    std::env::consts::ARCH.to_owned()
}
