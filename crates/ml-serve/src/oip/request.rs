//! An inference request, whatever carried it.

mod read;

use ml_core::ElementType;

pub(super) use self::read::count;
use super::parameters::Parameters;
use crate::tensors::Data;

/// What a request says.
#[derive(Debug, Default)]
pub(crate) struct InferRequest {
    /// Empty where the caller gave none.
    pub id: String,
    pub parameters: Parameters,
    pub inputs: Vec<Input>,
    /// Empty for all of them.
    pub outputs: Vec<WantedOutput>,
}

/// One input as it was sent.
#[derive(Debug)]
pub(crate) struct Input {
    pub name: String,
    pub element: ElementType,
    pub shape: Vec<usize>,
    pub data: Sent,
}

/// Where an input's elements are.
#[derive(Debug)]
pub(crate) enum Sent {
    /// They were read.
    Read(Data),
    /// So many bytes of what follows the JSON.
    Follows(usize),
}

/// One output that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedOutput {
    pub name: String,
    /// Whether it is wanted in binary; `None` leaves it to the request.
    pub binary: Option<bool>,
    /// How many classes are wanted instead of the tensor.
    pub classes: Option<usize>,
}
