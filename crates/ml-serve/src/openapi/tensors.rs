//! The schemas of a model's tensors: as its own JSON has them, and as requests of named tensors do.

use ml_core::{Dimension, ElementType, TensorInfo};
use serde_json::{Map, Value, json};

use super::schemas::list;
use crate::oip::datatype;
use crate::oip::inputs::Contract;
use crate::onnx::OnnxPipeline;

/// The longest example that is shown, in bytes of its JSON.
const EXAMPLE_BYTES_MAX: usize = 4096;

/// Whether an example is worth showing.
pub(super) fn is_short(example: &Value) -> bool {
    example.to_string().len() <= EXAMPLE_BYTES_MAX
}

/// Returns the schema of an item: nested arrays by name.
pub(crate) fn item_schema(pipeline: &OnnxPipeline) -> Value {
    let mut schema = named(pipeline, &pipeline.signature().inputs, element_schema);
    schema["additionalProperties"] = json!(false);
    schema
}

/// Returns the schema of an item's output. What JSON has no number for is null.
pub(crate) fn output_schema(pipeline: &OnnxPipeline) -> Value {
    named(pipeline, &pipeline.signature().outputs, |element| match element {
        ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::BF16 => {
            json!({"type": ["number", "null"]})
        }
        other => element_schema(other),
    })
}

fn named(pipeline: &OnnxPipeline, infos: &[TensorInfo], element: impl Fn(ElementType) -> Value) -> Value {
    let tensor = |info: &TensorInfo| {
        // A tensor whose sizes the model does not say may be anything.
        let schema = pipeline.row_shape(info).map(|shape| nested(element(info.element), shape));
        (info.name.clone(), schema.unwrap_or_else(|| json!({})))
    };
    let properties: Map<String, Value> = infos.iter().map(tensor).collect();
    let required: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn nested(element: Value, shape: &[Dimension]) -> Value {
    shape.iter().rev().fold(element, |inner, dimension| match dimension {
        Dimension::Fixed(size) => {
            json!({"type": "array", "items": inner, "minItems": size, "maxItems": size})
        }
        Dimension::Dynamic(_) => list(inner),
    })
}

fn element_schema(element: ElementType) -> Value {
    let whole = |least: i128, most: i128| {
        // Bounds of 64 bits are exact in JSON, whose numbers have no size.
        let bound =
            |bound: i128| i64::try_from(bound).map_or_else(|_| json!(bound as u64), |bound| json!(bound));
        json!({"type": "integer", "minimum": bound(least), "maximum": bound(most)})
    };
    let real = |most: f64| json!({"type": "number", "minimum": -most, "maximum": most});
    match element {
        ElementType::Bool => json!({"type": "boolean"}),
        ElementType::String => json!({"type": "string"}),
        ElementType::I8 => whole(i8::MIN.into(), i8::MAX.into()),
        ElementType::I16 => whole(i16::MIN.into(), i16::MAX.into()),
        ElementType::I32 => whole(i32::MIN.into(), i32::MAX.into()),
        ElementType::I64 => whole(i64::MIN.into(), i64::MAX.into()),
        ElementType::U8 => whole(0, u8::MAX.into()),
        ElementType::U16 => whole(0, u16::MAX.into()),
        ElementType::U32 => whole(0, u32::MAX.into()),
        ElementType::U64 => whole(0, u64::MAX.into()),
        ElementType::F16 => real(half::f16::MAX.into()),
        ElementType::BF16 => real(half::bf16::MAX.into()),
        ElementType::F32 => real(f32::MAX.into()),
        ElementType::F64 => json!({"type": "number"}),
    }
}

/// Returns the schema of a request of named tensors.
pub(super) fn request(contract: Contract<'_>) -> Value {
    let signature = contract.pipeline.offered();
    let inputs: Vec<Value> = signature.inputs.iter().map(|info| tensor(contract, info)).collect();
    let outputs: Vec<&str> = signature.outputs.iter().map(|info| info.name.as_str()).collect();
    let (count, whole) = (inputs.len(), json!({"type": "integer", "minimum": 0}));
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object", "properties": {
                "priority": whole, "timeout": whole, "binary_data_output": {"type": "boolean"},
            }},
            "inputs": {"type": "array", "minItems": count, "maxItems": count, "items": {"anyOf": inputs}},
            "outputs": list(json!({"type": "object", "required": ["name"], "properties": {
                "name": {"enum": outputs},
                "parameters": {"type": "object", "properties": {
                    "binary_data": {"type": "boolean"}, "classification": {"type": "integer", "minimum": 1},
                }},
            }})),
        },
    })
}

fn tensor(contract: Contract<'_>, info: &TensorInfo) -> Value {
    let mut data = list(element_schema(info.element));
    data["description"] = json!("all elements in one array, or nested as the shape is");
    json!({
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": info.name},
            "datatype": {"const": datatype::name(info.element)},
            "shape": shape(contract, info),
            "data": data,
        },
    })
}

fn shape(contract: Contract<'_>, info: &TensorInfo) -> Value {
    let Some(sizes) = &info.shape else { return list(json!({"type": "integer", "minimum": 0})) };
    let sizes = sizes.iter().enumerate().map(|(place, size)| match size {
        Dimension::Fixed(size) => json!({"const": size}),
        Dimension::Dynamic(_) if place == 0 && contract.pipeline.batched() => {
            json!({"type": "integer", "minimum": 0, "maximum": contract.pipeline.rows_max()})
        }
        Dimension::Dynamic(_) => json!({"type": "integer", "minimum": 0}),
    });
    let sizes: Vec<Value> = sizes.collect();
    if sizes.is_empty() {
        return json!({"type": "array", "maxItems": 0});
    }
    json!({"type": "array", "minItems": sizes.len(), "maxItems": sizes.len(), "prefixItems": sizes})
}

/// Returns the schema of an answer of named tensors.
pub(super) fn answer(contract: Contract<'_>) -> Value {
    let text = json!({"type": "string"});
    let outputs = contract.pipeline.offered().outputs.iter().map(|info| {
        let sizes = list(json!({"type": "integer", "minimum": 0}));
        json!({
            "type": "object",
            "required": ["name", "datatype", "shape"],
            "properties": {
                "name": {"const": info.name},
                // Classes are texts, whatever the output is.
                "datatype": {"enum": [datatype::name(info.element), "BYTES"]},
                "shape": sizes,
                "data": list(json!({"type": ["boolean", "number", "string"]})),
                "parameters": {"type": "object"},
            },
        })
    });
    let outputs: Vec<Value> = outputs.collect();
    json!({
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "id": text, "model_name": {"const": contract.name},
            "model_version": {"const": contract.version.to_string()},
            "outputs": list(json!({"anyOf": outputs})),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_nest_and_types_have_their_bounds() {
        let shape = [Dimension::Dynamic("n".to_owned()), Dimension::Fixed(2)];
        let schema = nested(element_schema(ElementType::U8), &shape);
        let numbers = json!({"type": "integer", "minimum": 0, "maximum": 255});
        let row = json!({"type": "array", "items": numbers, "minItems": 2, "maxItems": 2});
        assert_eq!(schema, json!({"type": "array", "items": row}));
        assert_eq!(element_schema(ElementType::U64)["maximum"], json!(u64::MAX));
        assert_eq!(element_schema(ElementType::I64)["minimum"], json!(i64::MIN));
        assert_eq!(element_schema(ElementType::F16)["maximum"], json!(65504.0));
    }
}
