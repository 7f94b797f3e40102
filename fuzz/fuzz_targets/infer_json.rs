//! Requests of the Open Inference Protocol in JSON: what we take serde_json takes and the other way round, numbers are the nearest
//! doubles, and tensors have the elements of their values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_fuzz::{depth, has_duplicates, numbers_as_json, same_elements, seeds, within};
use ml_serve::fuzzing as readers;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A text of three bytes of JSON is kept in 24, in a list with room to grow that is then copied.
const FACTOR: usize = 48;

const FIXED: usize = 64 << 10;

/// The deepest that we take; serde_json goes a little deeper.
const DEPTH_MAX: usize = 100;

fuzz_target!(
    init: {
        let input = |datatype: &str, shape: &str, data: &str| {
            format!(r#"{{"id":"7","inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}],"outputs":[{{"name":"y","parameters":{{"binary_data":false,"classification":2}}}}],"parameters":{{"priority":1,"timeout":5,"sequence_id":"s","sequence_start":true}}}}"#)
        };
        let mut all: Vec<String> = readers::DATATYPES.iter().map(|name| input(name, "[2,1]", "[[1],[0]]")).collect();
        all.push(input("BOOL", "[2]", "[true,false]"));
        all.push(input("BYTES", "[2]", r#"["a","\u00e9\n"]"#));
        all.push(input("FP64", "[4]", "[NaN,-Infinity,1.5e-7,12345678901234567890]"));
        all.push(input("FP32", "[1000000000]", "[1]"));
        all.push(r#"{"inputs":[{"data":[1],"shape":[1],"parameters":{"binary_data_size":8,"shared_memory_region":"r","shared_memory_byte_size":4},"datatype":"INT64","name":"x"}]}"#.to_owned());
        all.extend(["1.25e2", "-0.1", r#""\ud83d\ude00""#, "[[],{}]"].map(str::to_owned));
        seeds("infer_json", all.into_iter().map(String::into_bytes));
    },
    |data: &[u8]| {
        let limit = FIXED + FACTOR * data.len();
        same_verdict(data, limit);
        if let Some(number) = within(limit, || readers::number(data)) {
            let text = std::str::from_utf8(data).expect("a number is ASCII").trim_matches([' ', '\n', '\r', '\t']);
            let expected: f64 = text.parse().expect("the standard library takes it too");
            assert!(number.to_bits() == expected.to_bits() || number.is_nan() && expected.is_nan(), "{text} is not {number}");
        }
        if let Some(text) = within(limit, || readers::text(data)) {
            assert_eq!(serde_json::from_slice::<String>(data).ok(), Some(text));
        }
        let Some(read) = within(limit, || readers::request(data)) else { return };
        let json = numbers_as_json(data);
        // What stood for no number of JSON is a zero now.
        if json == data && !has_duplicates(data) && let Ok(value) = serde_json::from_slice::<Value>(data) {
            same_inputs(&read, &value);
        }
    }
);

fn same_verdict(data: &[u8], limit: usize) {
    if within(limit, || readers::is_document(data)) {
        let json = numbers_as_json(data);
        let taken = serde_json::from_slice::<IgnoredAny>(&json);
        assert!(taken.is_ok(), "we take what serde_json does not: {taken:?}");
    } else if let Ok(value) = serde_json::from_slice::<Value>(data) {
        assert!(depth(&value) > DEPTH_MAX, "we refuse what serde_json takes");
    }
}

fn same_inputs(read: &[readers::Read], value: &Value) {
    let inputs = value["inputs"].as_array().expect("inputs are an array");
    assert_eq!(inputs.len(), read.len());
    for (input, read) in inputs.iter().zip(read) {
        assert_eq!(input["name"], read.name);
        assert_eq!(input["datatype"], read.datatype);
        let shape: Vec<usize> = serde_json::from_value(input["shape"].clone()).expect("a shape");
        assert_eq!(shape, read.shape);
        if let Some(bytes) = &read.bytes {
            same_elements(read.datatype, bytes, &input["data"]);
        }
    }
}
