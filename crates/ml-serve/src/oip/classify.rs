//! The classification extension: the largest values of an output with their places and labels, instead of the output.

use std::cmp::Ordering;

use super::Refusal;
use super::inputs::Contract;
use crate::tensors::{RawTensor, with_numbers};

/// The largest output that is sorted.
const ELEMENTS_MAX: usize = 1_000_000;

/// A value that can be ranked and shown.
trait Ranked: Copy {
    /// Ranks values; what is no number comes last.
    fn rank(self, other: Self) -> Ordering;
    fn shown(self) -> String;
}

macro_rules! ranked {
    (whole: $($whole:ty)*; float: $($float:ty)*) => {
        $(impl Ranked for $whole {
            fn rank(self, other: Self) -> Ordering { other.cmp(&self) }
            fn shown(self) -> String { self.to_string() }
        })*
        $(impl Ranked for $float {
            fn rank(self, other: Self) -> Ordering {
                self.is_nan().cmp(&other.is_nan()).then(other.partial_cmp(&self).unwrap_or(Ordering::Equal))
            }
            fn shown(self) -> String { format!("{:.6}", f64::from(self)) }
        })*
    };
}

ranked! { whole: i8 i16 i32 i64 u8 u16 u32 u64; float: f32 f64 half::f16 half::bf16 }

impl Ranked for bool {
    fn rank(self, other: Self) -> Ordering {
        other.cmp(&self)
    }

    fn shown(self) -> String {
        u8::from(self).to_string()
    }
}

/// Returns the `wanted` largest values of each row, as `value:index` or `value:index:label`.
///
/// # Errors
/// For an output of texts, and for one that is too large to be sorted.
pub(super) fn classes(
    contract: Contract<'_>,
    name: &str,
    output: &RawTensor,
    wanted: usize,
) -> Result<RawTensor, Refusal> {
    let tensor = output.view().map_err(|error| Refusal::invalid(error.reason))?;
    if tensor.shape().iter().product::<usize>() > ELEMENTS_MAX {
        return Err(Refusal::invalid("classification output tensor too large"));
    }
    let labels = contract.pipeline.settled().labels.get(name).map(Vec::as_slice).unwrap_or_default();
    let batched = contract.pipeline.batched();
    with_numbers!(&tensor, array => {
        let elements: Vec<_> = array.iter().copied().collect();
        Ok(ranked(&elements, batched.then(|| output.shape.first().copied().unwrap_or(1)), wanted, labels))
    }, else Err(Refusal::invalid("class result not available for output due to unsupported type 'BYTES'")))
}

fn ranked<T: Ranked>(elements: &[T], rows: Option<usize>, wanted: usize, labels: &[String]) -> RawTensor {
    let row = elements.len() / rows.unwrap_or(1).max(1);
    let count = wanted.min(row);
    let mut texts = Vec::with_capacity(rows.unwrap_or(1) * count);
    for row in elements.chunks(row.max(1)) {
        let mut places: Vec<usize> = (0..row.len()).collect();
        places.sort_by(|one, other| row[*one].rank(row[*other]));
        texts.extend(places.into_iter().take(count).map(|place| {
            let label = labels.get(place).map(|label| format!(":{label}")).unwrap_or_default();
            format!("{}:{place}{label}", row[place].shown()).into_bytes()
        }));
    }
    let shape = rows.into_iter().chain([count]).collect();
    RawTensor::texts(shape, texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(tensor: &RawTensor) -> Vec<String> {
        let crate::tensors::Data::Texts(texts) = &tensor.data else { unreachable!("classes are texts") };
        texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
    }

    #[test]
    fn the_largest_come_first_with_place_and_label() {
        let ranked_floats =
            ranked(&[0.25_f32, 1.0, f32::NAN, 0.5, 2.0, -1.0], Some(2), 2, &["a".to_owned(), "b".to_owned()]);
        assert_eq!(ranked_floats.shape, [2, 2]);
        assert_eq!(texts(&ranked_floats), ["1.000000:1:b", "0.250000:0:a", "2.000000:1:b", "0.500000:0:a"]);
        let ranked_whole = ranked(&[3_i32, 7, 7], None, 9, &[]);
        assert_eq!(ranked_whole.shape, [3]);
        assert_eq!(texts(&ranked_whole), ["7:1", "7:2", "3:0"]);
        assert_eq!(ranked::<f32>(&[], Some(0), 3, &[]).shape, [0, 0]);
    }
}
