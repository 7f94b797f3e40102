//! From an item's JSON text straight into tensors: no tree of values in between, no allocation an element.

use std::fmt::{self, Display};

use half::{bf16, f16};
use ml_core::{Dimension, ElementType, Rejection, TensorInfo};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::element::{JsonElement, Scalar};
use crate::tensors::{RawTensor, Tensors};

/// Deeper than any tensor, and well below what the JSON parser refuses without a place.
const DEPTH_MAX: usize = 64;

/// Up to so many levels take no memory of their own.
const DEPTH_USUAL: usize = 4;

/// What an item has: a tensor for each of the model's inputs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub inputs: &'a [TensorInfo],
    /// Whether the first size of each input is the batch, which an item does not have.
    pub batched: bool,
}

impl<'a> Wanted<'a> {
    /// The sizes of an item's tensor: the input's, without the batch. `None` where the model does not say.
    pub fn shape(self, info: &'a TensorInfo) -> Option<&'a [Dimension]> {
        info.shape.as_deref().map(|shape| shape.get(usize::from(self.batched)..).unwrap_or_default())
    }

    fn names(self) -> String {
        let names: Vec<_> = self.inputs.iter().map(|info| info.name.as_str()).collect();
        format!("an object with {}", names.join(", "))
    }
}

/// Reads an item, `{"input": nested arrays, …}`, into one tensor for each input, in their order.
///
/// # Errors
/// Names the place in the item, what stands there, and what is wanted.
pub(crate) fn read_item(text: &RawValue, wanted: Wanted<'_>) -> Result<Tensors, Rejection> {
    let mut wrong = None;
    // The text is known to be JSON; what the parser itself refuses beyond that are numbers and escapes.
    read_text(text.get(), wanted, &mut wrong).map_err(|error| {
        wrong.unwrap_or_else(|| Rejection::new("item", "type").value(error).limit(wanted.names()))
    })
}

/// Reads an item of a text that is not known to be JSON, in one pass over it; `None` where it is none, or does not fit: another
/// look tells which.
pub(crate) fn read_good_item(text: &str, wanted: Wanted<'_>) -> Option<Tensors> {
    read_text(text, wanted, &mut None).ok()
}

fn read_text(text: &str, wanted: Wanted<'_>, wrong: &mut Option<Rejection>) -> serde_json::Result<Tensors> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let mut tensors = parser.deserialize_any(Item { wanted, wrong })?;
    parser.end()?;
    if wanted.batched {
        // An item is one row.
        tensors.iter_mut().for_each(|tensor| tensor.shape.insert(0, 1));
    }
    Ok(Tensors(tensors.into()))
}

/// Keeps the reason, and gives the parser an error that ends it.
fn refuse<E: Error>(wrong: &mut Option<Rejection>, rejection: Rejection) -> E {
    *wrong = Some(rejection);
    E::custom("refused")
}

struct Item<'a> {
    wanted: Wanted<'a>,
    wrong: &'a mut Option<Rejection>,
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = Vec<RawTensor>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wanted.names())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Self { wanted, wrong } = self;
        let mut tensors: Vec<Option<RawTensor>> = wanted.inputs.iter().map(|_| None).collect();
        while let Some(place) = fields.next_key_seed(Key { wanted, wrong })? {
            let info = &wanted.inputs[place];
            if tensors[place].is_some() {
                let twice = Rejection::new(info.name.clone(), "duplicate_field");
                return Err(refuse(wrong, twice.value("given twice").limit("given once")));
            }
            let seed = TensorSeed { info, shape: wanted.shape(info), wrong };
            tensors[place] = Some(fields.next_value_seed(seed)?);
        }
        let missing = tensors.iter().position(Option::is_none);
        if let Some(info) = missing.map(|place| &wanted.inputs[place]) {
            let missing = Rejection::new(info.name.clone(), "required");
            return Err(refuse(wrong, missing.value("nothing").limit(wanted.names())));
        }
        Ok(tensors.into_iter().flatten().collect())
    }
}

/// A field's name, as the place of its input.
struct Key<'a> {
    wanted: Wanted<'a>,
    wrong: &'a mut Option<Rejection>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an input")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let Self { wanted, wrong } = self;
        wanted.inputs.iter().position(|info| info.name == name).ok_or_else(|| {
            refuse(wrong, Rejection::new(name.to_owned(), "unknown_field").limit(wanted.names()))
        })
    }
}

/// The tensor of one input.
struct TensorSeed<'a> {
    info: &'a TensorInfo,
    shape: Option<&'a [Dimension]>,
    wrong: &'a mut Option<Rejection>,
}

impl<'de> DeserializeSeed<'de> for TensorSeed<'_> {
    type Value = RawTensor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawTensor, D::Error> {
        match self.info.element {
            ElementType::F32 => self.read::<f32, D>(deserializer),
            ElementType::F16 => self.read::<f16, D>(deserializer),
            ElementType::BF16 => self.read::<bf16, D>(deserializer),
            ElementType::F64 => self.read::<f64, D>(deserializer),
            ElementType::I8 => self.read::<i8, D>(deserializer),
            ElementType::I16 => self.read::<i16, D>(deserializer),
            ElementType::I32 => self.read::<i32, D>(deserializer),
            ElementType::I64 => self.read::<i64, D>(deserializer),
            ElementType::U8 => self.read::<u8, D>(deserializer),
            ElementType::U16 => self.read::<u16, D>(deserializer),
            ElementType::U32 => self.read::<u32, D>(deserializer),
            ElementType::U64 => self.read::<u64, D>(deserializer),
            ElementType::Bool => self.read::<bool, D>(deserializer),
            ElementType::String => self.read::<Vec<u8>, D>(deserializer),
        }
    }
}

impl TensorSeed<'_> {
    fn read<'de, T: JsonElement, D: Deserializer<'de>>(self, deserializer: D) -> Result<RawTensor, D::Error> {
        let Self { info, shape, wrong } = self;
        let room = shape.map_or(0, at_least);
        let mut found = Found::<T> {
            place: Place { name: &info.name, indices: SmallVec::new() },
            sizes: SmallVec::new(),
            elements: Vec::with_capacity(room),
        };
        match deserializer.deserialize_any(Level { found: &mut found, wrong }) {
            Ok(()) => found.into_tensor(shape).map_err(|rejection| refuse(wrong, rejection)),
            Err(error) => {
                let of_the_parser = || found.place.reject("type", &error, T::WANTED);
                wrong.get_or_insert_with(of_the_parser);
                Err(error)
            }
        }
    }
}

/// How many elements a tensor has whose dynamic sizes are one, but no more than a caller might send by mistake.
fn at_least(shape: &[Dimension]) -> usize {
    const ROOM_MAX: usize = 1 << 12;
    let size = |dimension: &Dimension| if let Dimension::Fixed(size) = dimension { *size } else { 1 };
    shape.iter().map(size).fold(1, usize::saturating_mul).min(ROOM_MAX)
}

/// What was read of a tensor so far.
struct Found<'a, T> {
    place: Place<'a>,
    /// The length of the arrays at each depth; `None` while the first one is read.
    sizes: SmallVec<[Option<usize>; DEPTH_USUAL]>,
    elements: Vec<T>,
}

impl<T: JsonElement> Found<'_, T> {
    fn into_tensor(self, wanted: Option<&[Dimension]>) -> Result<RawTensor, Rejection> {
        let sizes: Vec<usize> = self.sizes.into_iter().flatten().collect();
        let fits = wanted.is_none_or(|wanted| {
            let same = |(size, dimension): (&usize, &Dimension)| match dimension {
                Dimension::Fixed(fixed) => size == fixed,
                Dimension::Dynamic(_) => true,
            };
            sizes.len() == wanted.len() && sizes.iter().zip(wanted).all(same)
        });
        if !fits {
            let wanted: Vec<_> = wanted.unwrap_or_default().iter().map(ToString::to_string).collect();
            let limit = format!("[{}]", wanted.join(", "));
            return Err(self.place.reject("shape", format!("{sizes:?}"), limit));
        }
        if sizes.iter().product::<usize>() != self.elements.len() {
            return Err(self.place.reject("shape", format!("{sizes:?}"), "rows of one length"));
        }
        Ok(T::tensor(sizes, self.elements))
    }

    fn add(&mut self, scalar: &Scalar<'_>) -> Result<(), Rejection> {
        if self.place.indices.len() != self.sizes.len() {
            return Err(self.place.reject("shape", "a value beside arrays", "rows of one length"));
        }
        let element = T::read(scalar);
        self.elements.push(element.ok_or_else(|| self.place.reject("type", scalar, T::WANTED))?);
        Ok(())
    }

    /// Begins an array at the depth of the place.
    fn open(&mut self) -> Result<(), Rejection> {
        let depth = self.place.indices.len();
        if depth == DEPTH_MAX {
            return Err(self.place.reject(
                "shape",
                "a deeper array",
                format!("{DEPTH_MAX} levels of arrays"),
            ));
        }
        if depth == self.sizes.len() {
            if !self.elements.is_empty() {
                return Err(self.place.reject("shape", "an array beside values", "rows of one length"));
            }
            self.sizes.push(None);
        }
        self.place.indices.push(0);
        Ok(())
    }

    /// Ends an array of so many values.
    fn close(&mut self, length: usize) -> Result<(), Rejection> {
        self.place.indices.pop();
        match &mut self.sizes[self.place.indices.len()] {
            Some(size) if *size != length => {
                Err(self.place.reject("shape", format!("{length} values"), "rows of one length"))
            }
            size => {
                *size = Some(length);
                Ok(())
            }
        }
    }
}

/// Where in an input a value stands; written out only when something is wrong with it.
struct Place<'a> {
    name: &'a str,
    indices: SmallVec<[usize; DEPTH_USUAL]>,
}

impl Place<'_> {
    fn reject(&self, rule: &'static str, value: impl Display, limit: impl Display) -> Rejection {
        let indices: String = self.indices.iter().map(|index| format!("[{index}]")).collect();
        Rejection::new(format!("{}{indices}", self.name), rule).value(value).limit(limit)
    }
}

/// A value at some depth: an array, whose values are a level deeper, or an element.
struct Level<'r, 'a, T> {
    found: &'r mut Found<'a, T>,
    wrong: &'r mut Option<Rejection>,
}

impl<T: JsonElement> Level<'_, '_, T> {
    fn add<E: Error>(self, scalar: &Scalar<'_>) -> Result<(), E> {
        self.found.add(scalar).map_err(|rejection| refuse(self.wrong, rejection))
    }
}

impl<'de, T: JsonElement> DeserializeSeed<'de> for Level<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: JsonElement> Visitor<'de> for Level<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WANTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { found, wrong } = self;
        found.open().map_err(|rejection| refuse(wrong, rejection))?;
        let mut length = 0;
        while values.next_element_seed(Level { found, wrong })?.is_some() {
            length += 1;
            if let Some(index) = found.place.indices.last_mut() {
                *index = length;
            }
        }
        found.close(length).map_err(|rejection| refuse(wrong, rejection))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.add(&Scalar::Object)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.add(&Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.add(&Scalar::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.add(&Scalar::Unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.add(&Scalar::Signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.add(&Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.add(&Scalar::Text(value))
    }
}

#[cfg(test)]
mod tests {
    use ml_core::ElementType;
    use ml_core::Tensor;
    use ndarray::array;

    use super::*;

    fn dynamic() -> Dimension {
        Dimension::Dynamic(String::new())
    }

    fn info(name: &str, element: ElementType, shape: &[Dimension]) -> TensorInfo {
        TensorInfo { name: name.to_owned(), element, shape: Some(shape.to_vec()) }
    }

    fn read(inputs: &[TensorInfo], text: &str) -> Result<Vec<Tensor<'static>>, Rejection> {
        row(text, Wanted { inputs, batched: false })
    }

    fn row(text: &str, wanted: Wanted<'_>) -> Result<Vec<Tensor<'static>>, Rejection> {
        let read = read_item(serde_json::from_str(text).expect("it is JSON"), wanted)?;
        Ok(read.0.iter().map(|tensor| tensor.view().expect("it fills its shape").to_static()).collect())
    }

    #[test]
    fn nested_arrays_become_tensors_of_the_inputs_types_in_their_order() {
        let inputs = [
            info("ids", ElementType::I64, &[dynamic(), Dimension::Fixed(2)]),
            info("scale", ElementType::F32, &[]),
            info("none", ElementType::U8, &[dynamic()]),
        ];
        let row = read(&inputs, r#" {"scale": -0.5, "ids": [[1, 2], [3, 4], [5, 6]], "none": []} "#);
        let ids = array![[1_i64, 2], [3, 4], [5, 6]].into();
        assert_eq!(
            row,
            Ok(vec![ids, ndarray::arr0(-0.5_f32).into(), ndarray::Array1::<u8>::zeros(0).into()])
        );
    }

    #[test]
    fn an_item_is_one_row_and_has_no_batch() {
        let inputs = [info("x", ElementType::F32, &[dynamic(), Dimension::Fixed(2)])];
        let row = row(r#"{"x": [1, 2]}"#, Wanted { inputs: &inputs, batched: true });
        assert_eq!(row, Ok(vec![array![[1.0_f32, 2.0]].into()]));
    }

    #[test]
    fn what_does_not_fit_names_the_place_and_what_is_wanted() {
        let inputs = [info("x", ElementType::F32, &[Dimension::Fixed(2)])];
        let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(100), "]".repeat(100));
        let deep_place = format!("x{}", "[0]".repeat(64));
        let number = "allowed is a number that fits 32-bit floats";
        for (text, expected) in [
            (r#"{"x": [1.0, "two"]}"#, format!("x[1] breaks the rule type: got \"two\", {number}")),
            (r#"{"x": [1.0, 1e39]}"#, format!("x[1] breaks the rule type: got 1e+39, {number}")),
            (r#"{"x": [1.0, null]}"#, format!("x[1] breaks the rule type: got null, {number}")),
            (r#"{"x": [{}, 1.0]}"#, format!("x[0] breaks the rule type: got an object, {number}")),
            (
                r#"{"x": [1.0, 1e999]}"#,
                format!("x[1] breaks the rule type: got number out of range at line 1 column 17, {number}"),
            ),
            (r#"{"x": [1.0, 2.0, 3.0]}"#, "x breaks the rule shape: got [3], allowed is [2]".into()),
            (
                r#"{"x": [[1.0], [1.0, 2.0]]}"#,
                "x[1] breaks the rule shape: got 2 values, allowed is rows of one length".into(),
            ),
            (
                r#"{"x": [[1.0], 2.0]}"#,
                "x[1] breaks the rule shape: got a value beside arrays, allowed is rows of one length".into(),
            ),
            (
                r#"{"x": [1.0, [2.0]]}"#,
                "x[1] breaks the rule shape: got an array beside values, allowed is rows of one length"
                    .into(),
            ),
            (
                r#"{"x": [[], [[1.0]]]}"#,
                "x[1] breaks the rule shape: got 1 values, allowed is rows of one length".into(),
            ),
            (r#"{"x": 7.0}"#, "x breaks the rule shape: got [], allowed is [2]".into()),
            (
                &deep,
                format!(
                    "{deep_place} breaks the rule shape: got a deeper array, allowed is 64 levels of arrays"
                ),
            ),
            (
                r#"{"x": [1, 2], "y": 1}"#,
                "y breaks the rule unknown_field: allowed is an object with x".into(),
            ),
            (
                r#"{"x": [1, 2], "x": [1, 2]}"#,
                "x breaks the rule duplicate_field: got given twice, allowed is given once".into(),
            ),
            ("{}", "x breaks the rule required: got nothing, allowed is an object with x".into()),
        ] {
            let rejection = read(&inputs, text).expect_err("it does not fit");
            assert_eq!(rejection.to_string(), expected, "{text}");
        }
        for text in ["[1, 2]", "7", "null", r#"{"\ud800": 1}"#] {
            let rejection = read(&inputs, text).expect_err("no object").to_string();
            assert!(rejection.starts_with("item breaks the rule type: "), "{text}: {rejection}");
            assert!(rejection.ends_with("allowed is an object with x"), "{text}: {rejection}");
        }
    }

    #[test]
    fn texts_are_taken_byte_for_byte_and_none_without_a_meaning() {
        let inputs = [info("x", ElementType::String, &[Dimension::Fixed(3)])];
        let taken = read(&inputs, r#"{"x": ["", "\u00fcnï ✓", "b\u0000c"]}"#);
        let texts = ["", "ünï ✓", "b\0c"].map(str::to_owned);
        assert_eq!(taken, Ok(vec![ndarray::arr1(&texts).into()]));
        let refused = read(&inputs, r#"{"x": ["\ud800", "b", "c"]}"#).expect_err("half a pair").to_string();
        assert!(refused.starts_with("x[0] breaks the rule type: got "), "{refused}");
    }

    #[test]
    fn numbers_are_taken_where_they_fit() {
        for (element, good, bad) in [
            (ElementType::U8, "[0, 255]", "[0, 256]"),
            (ElementType::I8, "[-128, 127]", "[-129, 0]"),
            (ElementType::U64, "[0, 18446744073709551615]", "[0, -1]"),
            (ElementType::I64, "[-9223372036854775808, 0]", "[0, 9223372036854775808]"),
            (ElementType::I32, "[-1, 1]", "[1.0, 1]"),
            (ElementType::F16, "[65504, -1]", "[65520, 1]"),
            (ElementType::F64, "[1e308, 1]", "[true, 1]"),
            (ElementType::Bool, "[true, false]", "[1, 0]"),
        ] {
            let inputs = [info("x", element, &[Dimension::Fixed(2)])];
            assert!(read(&inputs, &format!(r#"{{"x": {good}}}"#)).is_ok(), "{good} as {element}");
            assert!(read(&inputs, &format!(r#"{{"x": {bad}}}"#)).is_err(), "{bad} as {element}");
        }
    }
}
