//! What another reader of JSON says of the same text.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Returns a document with the numbers that are none of JSON's, which Triton writes, as zeros; texts stay as they are.
pub fn numbers_as_json(json: &[u8]) -> Vec<u8> {
    let (mut written, mut rest, mut quoted) = (Vec::with_capacity(json.len()), json, false);
    while let Some((&byte, after)) = rest.split_first() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| rest.starts_with(word.as_bytes()));
        rest = match (quoted, byte, word) {
            (false, _, Some(word)) => {
                written.push(b'0');
                &rest[word.len()..]
            }
            (true, b'\\', _) => {
                written.extend(&rest[..rest.len().min(2)]);
                rest.get(2..).unwrap_or_default()
            }
            _ => {
                quoted ^= byte == b'"';
                written.push(byte);
                after
            }
        };
    }
    written
}

/// Returns how deep arrays and objects nest.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Returns whether an object of the document has a name twice, of which readers may take either.
pub fn has_duplicates(json: &[u8]) -> bool {
    serde_json::from_slice(json).is_ok_and(|Duplicates(found)| found)
}

struct Duplicates(bool);

impl<'de> Deserialize<'de> for Duplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Find).map(Self)
    }
}

struct Find;

macro_rules! none {
    ($($visit:ident: $type:ty),*) => {$(
        fn $visit<E>(self, _: $type) -> Result<bool, E> {
            Ok(false)
        }
    )*};
}

impl<'de> Visitor<'de> for Find {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    none!(visit_bool: bool, visit_u64: u64, visit_i64: i64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Duplicates(inside)) = values.next_element()? {
            found |= inside;
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let (mut found, mut names) = (false, HashSet::new());
        while let Some((name, Duplicates(inside))) = fields.next_entry::<String, _>()? {
            found |= inside | !names.insert(name);
        }
        Ok(found)
    }
}

/// Asserts that the elements of a tensor, as they travel in binary, are the scalars of a value in their order.
pub fn same_elements(datatype: &str, bytes: &[u8], value: &Value) {
    let (mut scalars, mut rest) = (Vec::new(), bytes);
    flatten(value, &mut scalars);
    for scalar in scalars {
        let width = match (datatype, scalar) {
            ("BYTES", Value::String(text)) => {
                let length = u32::try_from(text.len()).expect("a short text").to_le_bytes();
                assert!(
                    rest.starts_with(&length) && rest[4..].starts_with(text.as_bytes()),
                    "{scalar} was read as another"
                );
                4 + text.len()
            }
            ("BOOL", Value::Bool(truth)) => {
                assert_eq!(rest[0], u8::from(*truth), "{scalar} was read as another");
                1
            }
            (_, Value::Number(number)) => same_number(datatype, rest, number),
            _ => panic!("{scalar} was read as {datatype}"),
        };
        rest = &rest[width..];
    }
    assert!(rest.is_empty(), "{} bytes more than {value} has", rest.len());
}

fn flatten<'a>(value: &'a Value, scalars: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, scalars)),
        scalar => scalars.push(scalar),
    }
}

fn same_number(datatype: &str, bytes: &[u8], number: &serde_json::Number) -> usize {
    macro_rules! whole {
        ($type:ty) => {{
            let read = i128::from(<$type>::from_le_bytes(first(bytes)));
            let sent = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            // -0 is a whole number to us, and a float to serde_json.
            let zero = read == 0 && number.as_f64() == Some(0.0);
            assert!(sent == Some(read) || zero, "{number} was read as {read}");
            size_of::<$type>()
        }};
    }
    let sent = number.as_f64().expect("a number");
    match datatype {
        "UINT8" => whole!(u8),
        "UINT16" => whole!(u16),
        "UINT32" => whole!(u32),
        "UINT64" => whole!(u64),
        "INT8" => whole!(i8),
        "INT16" => whole!(i16),
        "INT32" => whole!(i32),
        "INT64" => whole!(i64),
        "FP32" => {
            let read = f32::from_le_bytes(first(bytes));
            assert!(
                close(read.into(), f64::from(sent as f32), (f32::EPSILON.into(), f32::MIN_POSITIVE.into())),
                "{number} was read as {read}"
            );
            4
        }
        "FP64" => {
            let read = f64::from_le_bytes(first(bytes));
            assert!(close(read, sent, (f64::EPSILON, f64::MIN_POSITIVE)), "{number} was read as {read}");
            8
        }
        "FP16" | "BF16" => 2,
        other => panic!("{number} was read as {other}"),
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("as many bytes as an element has")
}

/// serde_json's doubles are not always the nearest: ours are held against the standard library's elsewhere.
fn close(one: f64, other: f64, (epsilon, least): (f64, f64)) -> bool {
    one == other || (one - other).abs() <= 2.0 * epsilon * other.abs().max(least)
}
