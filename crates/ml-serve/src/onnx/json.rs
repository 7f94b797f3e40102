//! Tensors as nested JSON arrays, both ways.

mod element;
mod read;
mod write;

pub(crate) use element::{Scalar, tensor_of};
pub(crate) use read::{Wanted, read_good_item, read_item};
pub(super) use write::{NamedTensors, example};
