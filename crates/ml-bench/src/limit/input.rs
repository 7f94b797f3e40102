//! Items that hold the model's inputs themselves: an array, nested or not, for each input's name.

use ml_core::{ElementType, Tensor, TensorInfo};
use ndarray::{ArrayD, IxDyn};
use serde_json::{Map, Value};

use super::LimitError;
use super::item::Item;
use crate::Line;

/// Returns each line's inputs.
pub(super) fn items(inputs: &[TensorInfo], lines: &[Line]) -> Result<Vec<Item>, LimitError> {
    let item = |line: &Line| {
        let broken = |reason: String| LimitError::Item { place: line.place.to_string(), reason };
        let fields: Map<String, Value> =
            serde_json::from_str(line.item.get()).map_err(|error| broken(error.to_string()))?;
        let tensor = |info: &TensorInfo| {
            let name = &info.name;
            let value = fields.get(name).ok_or_else(|| broken(format!("no input {name}")))?;
            tensor(info.element, value).map_err(|reason| broken(format!("input {name}: {reason}")))
        };
        Ok(Item { inputs: inputs.iter().map(tensor).collect::<Result<_, _>>()? })
    };
    lines.iter().map(item).collect()
}

fn tensor(element: ElementType, value: &Value) -> Result<Tensor<'static>, String> {
    let mut numbers = Vec::new();
    let shape = flatten(value, &mut numbers)?;
    match element {
        ElementType::F32 => array(shape, &numbers, |number| number.as_f64().map(|wide| wide as f32)),
        ElementType::F64 => array(shape, &numbers, Value::as_f64),
        ElementType::I32 => array(shape, &numbers, |number| i32::try_from(number.as_i64()?).ok()),
        ElementType::I64 => array(shape, &numbers, Value::as_i64),
        ElementType::U8 => array(shape, &numbers, |number| u8::try_from(number.as_i64()?).ok()),
        ElementType::Bool => array(shape, &numbers, Value::as_bool),
        other => Err(format!("cannot make {other} of JSON")),
    }
}

fn array<T>(
    shape: Vec<usize>,
    numbers: &[&Value],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Tensor<'static>, String>
where
    Tensor<'static>: From<ArrayD<T>>,
{
    let read = |number: &&Value| read(number).ok_or_else(|| format!("{number} is not of the input's type"));
    let numbers = numbers.iter().map(read).collect::<Result<Vec<T>, _>>()?;
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), numbers).map_err(|error| error.to_string())?.into())
}

/// Collects the leaves of a nested array and returns its shape, which within one item must be even.
fn flatten<'a>(value: &'a Value, leaves: &mut Vec<&'a Value>) -> Result<Vec<usize>, String> {
    let Value::Array(rows) = value else {
        leaves.push(value);
        return Ok(Vec::new());
    };
    let mut shape = None;
    for row in rows {
        let found = flatten(row, leaves)?;
        if *shape.get_or_insert_with(|| found.clone()) != found {
            return Err("its rows are not of the same length".to_owned());
        }
    }
    Ok([rows.len()].into_iter().chain(shape.unwrap_or_default()).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_arrays_become_tensors_of_the_inputs_type() {
        let cases: [(_, Value, Tensor<'static>); 5] = [
            (ElementType::F32, json!([1, 2.5]), array![1.0_f32, 2.5].into()),
            (ElementType::I64, json!([[1, 2], [3, 4]]), array![[1_i64, 2], [3, 4]].into()),
            (ElementType::I32, json!(7), ndarray::arr0(7_i32).into()),
            (ElementType::Bool, json!([true]), array![true].into()),
            (ElementType::F64, json!([[], []]), ndarray::Array2::<f64>::zeros((2, 0)).into()),
        ];
        for (element, value, expected) in cases {
            assert_eq!(tensor(element, &value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_tensor_is_refused_with_its_reason() {
        let cases = [
            (ElementType::F32, json!([[1], [2, 3]]), "its rows are not of the same length"),
            (ElementType::I64, json!([1.5]), "1.5 is not of the input's type"),
            (ElementType::F32, json!(["x"]), "\"x\" is not of the input's type"),
            (ElementType::U8, json!([256]), "256 is not of the input's type"),
            (ElementType::String, json!(["x"]), "cannot make string of JSON"),
        ];
        for (element, value, reason) in cases {
            assert_eq!(tensor(element, &value).unwrap_err(), reason, "{value}");
        }
    }
}
