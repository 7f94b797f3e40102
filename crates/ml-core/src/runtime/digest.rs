//! What a file is known by: a hash of its content.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use twox_hash::XxHash3_64;

/// How much of a file is in memory at once while its hash is computed: what fits into a cache.
const PART_BYTES: usize = 1 << 18;

/// Returns a hash of a file's content in 16 hexadecimal digits, by which a model and what was derived from it are known.
///
/// XXH3 over parts of 256 KiB, each seeded with the hash of those before it. A size and a time would miss a model that was
/// trained again and installed by a tool that fixes times. Reading takes about 20 ms for 90 MB. It tells files apart that
/// differ by accident, not those that somebody made alike.
///
/// # Errors
/// When the file cannot be read.
pub fn content_digest(path: impl AsRef<Path>) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut part = Vec::with_capacity(PART_BYTES);
    let mut hash = 0;
    loop {
        part.clear();
        file.by_ref().take(PART_BYTES as u64).read_to_end(&mut part)?;
        if part.is_empty() {
            return Ok(format!("{hash:016x}"));
        }
        hash = XxHash3_64::oneshot_with_seed(hash, &part);
    }
}
