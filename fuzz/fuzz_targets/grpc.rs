//! Requests of the Open Inference Protocol as messages: no panic, and no more memory than the messages of a body can have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_fuzz::{seeds, within};
use ml_serve::fuzzing as readers;

/// The least message has two bytes on the wire; an input, the largest, has some hundred in memory, and a list has room to grow.
const FACTOR: usize = 1024;

const FIXED: usize = 64 << 10;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("a short field")], bytes].concat()
}

fuzz_target!(
    init: {
        let input = |datatype: &[u8], contents: &[u8]| {
            field(5, &[field(1, b"x"), field(2, datatype), vec![3 << 3, 2], contents.to_vec()].concat())
        };
        seeds("grpc", [
            [field(1, b"m"), input(b"FP32", &[]), field(7, &[0; 8])].concat(),
            [field(1, b"m"), input(b"INT8", &field(5, &field(2, &[1, 2])))].concat(),
            [input(b"BYTES", &field(5, &field(8, b"ab"))), field(6, &field(1, b"y"))].concat(),
            [field(3, b"id"), field(4, &[field(1, b"priority"), field(2, &[2 << 3, 1])].concat())].concat(),
        ]);
    },
    |data: &[u8]| {
        within(FIXED + FACTOR * data.len(), || readers::message(data));
    }
);
