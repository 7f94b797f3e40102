//! What a compiled model says about itself: JSON, written by `scripts/tvm/signature.py`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::runtime::{Dimension, Signature, TensorInfo};

/// The form of the JSON that this reads.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
pub(super) struct Described {
    format: u32,
    /// The version of TVM that compiled the model.
    pub version: String,
    /// The CPUs that it was compiled for.
    level: String,
    /// The content of the ONNX file that it was compiled from.
    pub content: String,
    inputs: Vec<Info>,
    outputs: Vec<Info>,
    /// The most that open sizes may be, by their names: beyond, tables of the model end.
    pub limits: BTreeMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    element: String,
    shape: Vec<Size>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Fixed(usize),
    Open(String),
}

impl Described {
    /// Reads the JSON, and refuses what was made for another version of this reader or for other CPUs.
    pub fn read(json: &str) -> Result<Self, String> {
        let described: Self =
            serde_json::from_str(json).map_err(|error| format!("its signature: {error}"))?;
        if described.format != FORMAT {
            return Err(format!("its signature is of format {}, not {FORMAT}", described.format));
        }
        match runs_here(&described.level) {
            true => Ok(described),
            false => Err(format!("it was compiled for {}, which this CPU is not", described.level)),
        }
    }

    /// Returns the signature.
    pub fn signature(&self) -> Result<Signature, String> {
        let infos = |infos: &[Info]| infos.iter().map(Info::info).collect::<Result<Vec<_>, _>>();
        Ok(Signature {
            inputs: infos(&self.inputs)?,
            outputs: infos(&self.outputs)?,
            metadata: self.metadata.clone(),
        })
    }
}

impl Info {
    fn info(&self) -> Result<TensorInfo, String> {
        let Self { name, element, shape } = self;
        let element = super::values::element_type(element)
            .ok_or_else(|| format!("{name} has elements of type {element}"))?;
        let shape = shape.iter().map(|size| match size {
            Size::Fixed(size) => Dimension::Fixed(*size),
            Size::Open(name) => Dimension::Dynamic(name.clone()),
        });
        Ok(TensorInfo { name: name.clone(), element, shape: Some(shape.collect()) })
    }
}

/// Returns whether this CPU has all that a level of the x86-64 psABI has. Code for another would end the process.
#[cfg(target_arch = "x86_64")]
fn runs_here(level: &str) -> bool {
    use std::is_x86_feature_detected as has;
    let third = has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let fourth =
        has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match level {
        "x86-64-v3" => third,
        "x86-64-v4" => third && fourth,
        _ => false,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn runs_here(_: &str) -> bool {
    false
}
