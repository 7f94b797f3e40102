//! Compressed bodies: no more is made of one than a body may be, and what was compressed comes back.
#![no_main]

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;
use ml_fuzz::{choices, seeds, within};
use ml_serve::fuzzing as readers;

/// The limit that the configuration would have under `body_bytes_max`.
const BODY_BYTES_MAX: usize = 1 << 16;

/// A body that grows has twice the room; beside it are the piece that is copied and what the decoder remembers.
const LIMIT: usize = 2 * BODY_BYTES_MAX + (256 << 10);

fn compressed(gzip: bool, body: &[u8]) -> Vec<u8> {
    let written = if gzip {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).and_then(|()| encoder.finish())
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).and_then(|()| encoder.finish())
    };
    written.expect("memory takes all bytes")
}

fuzz_target!(
    init: {
        let seed = |how: u8, body: &[u8]| [&[how, 3], &*compressed(how & 1 == 0, body)].concat();
        let two_members = [compressed(true, b"one"), compressed(true, b"two")].concat();
        seeds("compressed", [
            seed(0, b"hello, hello, hello"),
            seed(1, b"hello, hello, hello"),
            seed(0, &[0; 2 * BODY_BYTES_MAX]),
            seed(1, &[0; 2 * BODY_BYTES_MAX]),
            [&[0, 0][..], &two_members].concat(),
        ]);
    },
    |data: &[u8]| {
        let Some(([how, json_bytes], body)) = choices(data) else { return };
        let gzip = how & 1 == 0;
        let sent = Bytes::copy_from_slice(body);
        if let Some(made) = within(LIMIT, || readers::inflated(gzip, sent, BODY_BYTES_MAX, json_bytes)) {
            assert!(made.len() <= BODY_BYTES_MAX, "{} bytes were made", made.len());
        }
        let back = readers::inflated(gzip, compressed(gzip, body).into(), BODY_BYTES_MAX, json_bytes);
        assert_eq!(back.as_deref(), (body.len() <= BODY_BYTES_MAX).then_some(body), "a body came back as another");
    }
);
