//! Tables in Arrow's IPC stream: no more rows than the body has bytes for, and what is read is written and read again as the same.
#![no_main]

use std::sync::{Arc, LazyLock};

use arrow_array::types::{Float16Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, LargeStringArray, ListArray,
    NullArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray, StructArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ml_fuzz::{bytes_of_file, choices, seeds, within};
use ml_serve::fuzzing::{self as readers, Model, ReadTable};

/// A truth has an eighth of a byte in the body, and is a tensor of some hundred in memory, of which a piece of the table is there
/// at once.
const FACTOR: usize = 256;

/// The tensors of a piece, and the schema.
const FIXED: usize = 1 << 20;

static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| {
    let path = bytes_of_file("examples/models/iris/model.onnx").0;
    [Model::load(&path).expect("a model"), Model::load_table(&path).expect("a model")]
});

fn stream(columns: &[(&str, ArrayRef)]) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).expect("columns of one length");
    written(&[batch])
}

fn written(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).expect("a schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("a batch of that schema"));
    writer.into_inner().expect("the end is written")
}

fn tables() -> Vec<Vec<u8>> {
    let column = |array: ArrayRef| stream(&[("x", array)]);
    let floats = |size, values: Vec<f32>| {
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        FixedSizeListArray::new(item, size, Arc::new(Float32Array::from(values)), None)
    };
    let rows = [Some(vec![Some(1), Some(2)]), Some(vec![Some(3), Some(4)]), None];
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
    let field = |name, data_type| Arc::new(Field::new(name, data_type, true));
    let fields = StructArray::from(vec![(
        field("a", DataType::Int64),
        Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
    )]);
    vec![
        stream(&[("features", Arc::new(floats(4, vec![1.0; 8])))]),
        stream(&[
            ("number", Arc::new(PrimitiveArray::<Float64Type>::from(vec![Some(1.5), None]))),
            ("whole", Arc::new(Int64Array::from(vec![1, 2]))),
            ("choice", Arc::new(StringArray::from(vec!["a", "c"]))),
            ("truth", Arc::new(BooleanArray::from(vec![true, false]))),
        ]),
        column(Arc::new(lists)),
        column(Arc::new(LargeStringArray::from(vec![Some("a"), None]))),
        column(Arc::new(StringViewArray::from(vec!["short", "longer than twelve bytes"]))),
        column(Arc::new(PrimitiveArray::<Float16Type>::from_iter_values([1.0, 2.0].map(half)))),
        column(Arc::new(fields)),
        column(Arc::new(NullArray::new(3))),
        column(Arc::new(FixedSizeListArray::new(
            field("item", DataType::Null),
            2,
            Arc::new(NullArray::new(6)),
            None,
        ))),
    ]
}

fn half(number: f32) -> <Float16Type as arrow_array::ArrowPrimitiveType>::Native {
    <Float16Type as arrow_array::ArrowPrimitiveType>::Native::from_f32(number)
}

fuzz_target!(
    init: {
        LazyLock::force(&MODELS);
        // A panic of Arrow's reader is caught where it is called, which is what is promised; any other still ends the target.
        std::panic::set_hook(Box::new(|panic| {
            if panic.location().is_none_or(|place| !place.file().contains("/arrow-")) {
                eprintln!("{panic}");
                std::process::abort();
            }
        }));
        seeds("arrow", tables().into_iter().enumerate().map(|(number, table)| [&[number as u8, number as u8], &*table].concat()));
    },
    |data: &[u8]| {
        let Some(([model, datatype], body)) = choices(data) else { return };
        let (datatype, limit) = (readers::DATATYPES[datatype % readers::DATATYPES.len()], FIXED + FACTOR * data.len());
        let body = Bytes::copy_from_slice(body);
        let rows_max = 8 * body.len();
        let Some(table) = within(limit, || ReadTable::read(body)) else { return };
        within(limit, || table.columns_as(datatype));
        let read = within(limit, || MODELS[model % 2].rows(&table));
        let pieces = table.pieces();
        let rows: usize = pieces.iter().map(RecordBatch::num_rows).sum();
        assert!(rows <= rows_max, "{rows} rows");
        assert!(read.is_none_or(|(items, refused)| items + refused == rows), "rows are lost or made up");
        if pieces.is_empty() || pieces[0].columns().iter().any(|array| array.data_type().is_nested()) {
            return;
        }
        let again = ReadTable::read(written(&pieces).into()).expect("what is written can be read");
        assert!(again.pieces() == pieces, "a table that is written and read again is another");
    }
);
