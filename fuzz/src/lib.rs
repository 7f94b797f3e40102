//! What the targets share: the limit on memory that an input is read under, the seeds, and the differential helpers.

mod json;
mod memory;
mod seeds;

pub use json::{depth, has_duplicates, numbers_as_json, same_elements};
pub use memory::within;
pub use seeds::{bytes_of_file, write as seeds};

/// Two bytes of an input that choose what is read, and the rest of it.
pub fn choices(data: &[u8]) -> Option<([usize; 2], &[u8])> {
    let (first, rest) = data.split_first_chunk::<2>()?;
    Some((first.map(usize::from), rest))
}
