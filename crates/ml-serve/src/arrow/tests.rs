use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, NullArray, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field};

use super::*;

fn table(rows: usize) -> RecordBatch {
    let mut numbers = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    for row in 0..rows {
        numbers.values().append_slice(&[row as f32, 0.5]);
        numbers.append(row % 3 != 2);
    }
    let texts = StringArray::from_iter_values((0..rows).map(|row| format!("row {row}")));
    let columns: [(&str, ArrayRef); 2] = [("numbers", Arc::new(numbers.finish())), ("text", Arc::new(texts))];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).expect("a schema");
    batches.iter().for_each(|batch| writer.write(batch).expect("a batch of that schema"));
    writer.into_inner().expect("the end is written")
}

#[test]
fn a_stream_is_read_whole_and_cut_into_pieces() {
    let (one, other) = (table(5), table(3));
    let read = Table::read(stream(&[one.clone(), other]).into()).expect("a stream");
    assert_eq!(read.schema, one.schema());
    let pieces = read.pieces(2);
    assert_eq!(pieces.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 2, 1, 2, 1]);
    assert_eq!(pieces[0], one.slice(0, 2));
}

#[test]
fn what_is_cut_off_is_refused() {
    let whole = stream(&[table(5)]);
    let end = whole.len() - 8;
    for length in 0..end {
        let cut = Table::read(Bytes::copy_from_slice(&whole[..length]));
        // Between two messages a stream may end without saying so.
        assert!(cut.is_err() || cut.is_ok_and(|table| table.batches.is_empty()), "{length} of {end} bytes");
    }
    assert!(Table::read(Bytes::new()).is_err());
    assert!(Table::read(Bytes::from_static(b"PAR1 and so on, which is no stream")).is_err());
}

#[test]
fn a_message_that_is_not_there_as_a_whole_is_not_begun() {
    let cut = stream(&[table(5)]);
    // A length without anything, one with its mark, and a description without its body.
    for body in
        [&[0xFF, 0xFF, 0xFF, 0x7F, 0][..], &[0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 1], &cut[..cut.len() - 16]]
    {
        let error = Table::read(Bytes::copy_from_slice(body)).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains("it ends early")), "{error:?}");
    }
}

#[test]
fn lists_of_nothing_are_not_longer_than_the_body() {
    let rows = |length: i32| {
        let item = |data_type| Arc::new(Field::new("item", data_type, true));
        let nothing = Arc::new(NullArray::new(length as usize));
        let ones = FixedSizeListArray::new(item(DataType::Null), 1, nothing, None);
        let lists = FixedSizeListArray::new(item(ones.data_type().clone()), length, Arc::new(ones), None);
        let columns: [(&str, ArrayRef); 1] = [("x", Arc::new(lists))];
        Table::read(stream(&[RecordBatch::try_from_iter(columns).expect("a column")]).into())
            .map(|table| table.pieces(1))
    };
    assert!(rows(100).is_ok());
    let refused = rows(i32::MAX).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("2147483647 elements")));
}

#[test]
fn what_is_broken_is_refused_or_read_but_stops_nobody() {
    let whole = stream(&[table(5)]);
    for place in 0..whole.len() {
        for flip in [1, 0x80, 0xFF] {
            let mut broken = whole.clone();
            broken[place] ^= flip;
            if let Ok(table) = Table::read(broken.into()) {
                // What is read can be looked at: lengths and offsets were checked.
                let pieces = table.pieces(2);
                assert!(pieces.iter().map(RecordBatch::num_rows).sum::<usize>() <= whole.len() * 8);
            }
        }
    }
}
