//! Items in JSON, as the native routes take them: a batch is cut where serde_json's array is, and a tensor has the elements of its
//! value.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ml_fuzz::{bytes_of_file, choices, has_duplicates, same_elements, seeds, within};
use ml_serve::fuzzing::{self as readers, Model};
use serde_json::Value;

/// Of an empty text, three bytes of JSON, a tensor keeps 24, in a list with room to grow.
const FACTOR: usize = 48;

/// Room that is made for elements before they come, and the words of an error.
const FIXED: usize = 256 << 10;

const ITEM_BYTES_MAX: usize = 64;

const CALL_ITEMS_MAX: usize = 16;

static TABLE: LazyLock<Model> = LazyLock::new(|| {
    Model::load_table(&bytes_of_file("examples/models/iris/model.onnx").0).expect("a model")
});

fuzz_target!(
    init: {
        LazyLock::force(&TABLE);
        let seed = |kind: u8, how: u8, json: &str| [&[kind, how], json.as_bytes()].concat();
        seeds("json", (0..14).map(|kind| match kind {
            0 => seed(kind, 3, r#"{"x": [true, false]}"#),
            13 => seed(kind, 3, r#"{"x": ["a", "\u00e9\ud83d\ude00"]}"#),
            _ => seed(kind, kind, r#"{"x": [[1, 2], [3, 100.5]]}"#),
        }).chain([
            seed(14, 0, r#"[{"x": 1}, "a", 5, [[]], null]"#),
            seed(15, 0, r#"{"number": null, "whole": 5, "choice": "a", "truth": false}"#),
        ]));
    },
    |data: &[u8]| {
        let Some(([kind, how], body)) = choices(data) else { return };
        let Some(text) = readers::utf8(body) else { return };
        let limit = FIXED + FACTOR * data.len();
        match kind % 16 {
            14 => batch(text, limit),
            15 => drop(within(limit, || TABLE.item(text))),
            kind => item(text, readers::DATATYPES[kind], how, limit),
        }
    }
);

fn batch(text: &str, limit: usize) {
    let Some(items) = within(limit, || readers::batch(text, ITEM_BYTES_MAX, CALL_ITEMS_MAX)) else { return };
    assert!(items.len() <= CALL_ITEMS_MAX, "{} items", items.len());
    assert!(items.iter().flatten().all(|item| item.len() <= ITEM_BYTES_MAX), "an item is too large");
    // Numbers that no double holds are not looked at before their items are.
    let Ok(values) = serde_json::from_str::<Vec<Value>>(text) else { return };
    assert_eq!(values.len(), items.len());
    for (value, item) in values.iter().zip(items) {
        assert!(item.is_none_or(|item| serde_json::from_str::<Value>(item).is_ok_and(|read| read == *value)));
    }
}

fn item(text: &str, datatype: &str, how: usize, limit: usize) {
    let shapes: [Option<&[Option<usize>]>; 4] = [None, Some(&[]), Some(&[None, Some(2)]), Some(&[None])];
    let (shape, batched) = (shapes[how % 4], how & 4 != 0);
    // A batched input has a size for the batch, which an item lacks.
    let with_batch = shape.map(|sizes| [&[None][..usize::from(batched)], sizes].concat());
    let Some(read) = within(limit, || readers::item(text, datatype, with_batch.as_deref(), batched)) else {
        return;
    };
    let sizes = &read.shape[usize::from(batched)..];
    if let Some(shape) = shape {
        let fits = |(size, wanted): (&usize, &Option<usize>)| wanted.is_none_or(|wanted| *size == wanted);
        assert!(
            sizes.len() == shape.len() && sizes.iter().zip(shape).all(fits),
            "{sizes:?} is not {shape:?}"
        );
    }
    let value: Value = serde_json::from_str(text).expect("what we take is JSON");
    assert!(!has_duplicates(text.as_bytes()), "a name stands twice");
    assert_shape(&value["x"], sizes);
    same_elements(datatype, &read.bytes.expect("it was read"), &value["x"]);
}

/// Asserts that arrays nest as the sizes say.
fn assert_shape(value: &Value, sizes: &[usize]) {
    match (value, sizes) {
        (Value::Array(values), [size, rest @ ..]) => {
            assert_eq!(values.len(), *size);
            values.iter().for_each(|value| assert_shape(value, rest));
        }
        (_, sizes) => assert!(sizes.is_empty() && !value.is_array(), "{value} has not the sizes {sizes:?}"),
    }
}
