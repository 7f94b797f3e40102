//! A request that can be sent as it is: zeros of the model's types, with every size that the caller chooses at one.

use ml_core::{Dimension, ElementType, TensorInfo};
use serde_json::{Value, json};

use super::datatype;
use super::inputs::Contract;

/// The longest example in JSON, in elements: more is nothing to read or to paste.
const ELEMENTS_MAX: usize = 512;

impl Contract<'_> {
    /// Returns a request in JSON; `None` where JSON cannot carry a type, or it would be too long to be of use.
    pub fn example(self) -> Option<Value> {
        let infos = &self.pipeline.offered().inputs;
        let elements: usize = infos.iter().map(|info| sizes(info).iter().product::<usize>()).sum();
        let halves = infos.iter().any(|info| matches!(info.element, ElementType::F16 | ElementType::BF16));
        let sized = infos.iter().all(|info| info.shape.is_some());
        if elements > ELEMENTS_MAX || halves || !sized {
            return None;
        }
        let inputs = infos.iter().map(|info| {
            let shape = sizes(info);
            let data = vec![zero(info.element); shape.iter().product()];
            json!({"name": info.name, "datatype": datatype::name(info.element), "shape": shape, "data": data})
        });
        Some(json!({ "inputs": inputs.collect::<Vec<_>>() }))
    }

    /// Returns how many bytes of zeros are a request as a whole, for a model whose only input can be sent so.
    pub fn example_bytes(self) -> Option<usize> {
        let [info] = &*self.pipeline.offered().inputs else { return None };
        let open = |size: &&Dimension| matches!(size, Dimension::Dynamic(_));
        let deducible = self.pipeline.row_shape(info)?.iter().filter(open).count() <= 1;
        if info.element == ElementType::String || !deducible {
            return None;
        }
        Some(sizes(info).iter().product::<usize>() * crate::tensors::element_bytes(info.element))
    }
}

fn sizes(info: &TensorInfo) -> Vec<usize> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => *size,
        Dimension::Dynamic(_) => 1,
    };
    info.shape.iter().flatten().map(size).collect()
}

fn zero(element: ElementType) -> Value {
    match element {
        ElementType::Bool => json!(false),
        ElementType::String => json!(""),
        ElementType::F32 | ElementType::F64 => json!(0.0),
        _ => json!(0),
    }
}
