//! Tensors as nested JSON arrays, both ways.

mod element;
mod read;
mod write;

pub(super) use element::{JsonElement, Scalar};
pub(super) use read::{Wanted, read_item};
pub(super) use write::{NamedTensors, example};
