//! NDJSON: lines do not depend on where chunks end, none is lost, and no line that is too long is held.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_fuzz::{choices, seeds, within};
use ml_serve::fuzzing as readers;

const ITEM_BYTES_MAX: usize = 32;

/// A line of one byte, two with its end, is kept as what it may be: bytes or an error, in a list with room to grow.
const FACTOR: usize = 320;

const FIXED: usize = 16 << 10;

fuzz_target!(
    init: seeds("ndjson", [
        b"\x03\x05{\"x\": 1}\n\n{\"x\": 2}\r\n5".to_vec(),
        [b"\x01\x07".as_slice(), &[b' '; 40], b"\n", &[b'1'; 33], b"\n2"].concat(),
    ]),
    |data: &[u8]| {
        let Some(([first, others], body)) = choices(data) else { return };
        let (start, rest) = body.split_at(first.min(body.len()));
        let chunks = || std::iter::once(start).chain(rest.chunks(others.max(1)));
        let lines = within(FIXED + FACTOR * data.len(), || readers::lines(chunks(), ITEM_BYTES_MAX));
        assert_eq!(lines, readers::lines([body], ITEM_BYTES_MAX), "lines depend on where chunks end");
        // As they are by their definition.
        let expected = body.split(|byte| *byte == b'\n').filter_map(|line| match line.len() {
            bytes if bytes > ITEM_BYTES_MAX => Some(Err(bytes)),
            _ => (!line.trim_ascii().is_empty()).then_some(Ok(line)),
        });
        assert!(lines.iter().map(|line| line.as_deref().map_err(|bytes| *bytes)).eq(expected), "lines are lost or made up");
    }
);
