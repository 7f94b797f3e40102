//! An inference request, whatever carried it.

mod read;

use ml_core::ElementType;

pub(super) use self::read::count;
use super::parameters::Parameters;
use super::regions::{Named, Regions, Window};
use super::{Refusal, binary};
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
    /// In memory that is shared with the caller.
    Shared(Window),
}

/// One output that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WantedOutput {
    pub name: String,
    /// Whether it is wanted in binary; `None` leaves it to the request.
    pub binary: Option<bool>,
    /// How many classes are wanted instead of the tensor.
    pub classes: Option<usize>,
    /// Where it is wanted instead of in the answer.
    pub memory: Named,
}

impl InferRequest {
    /// Fetches the inputs that lie in shared memory.
    ///
    /// # Errors
    /// Says which region is not there, or which input does not lie in it.
    pub fn fetch(&mut self, regions: &Regions, model: &str) -> Result<(), Refusal> {
        for input in &mut self.inputs {
            if let Sent::Shared(window) = &input.data {
                let bytes = regions.read(window)?;
                input.data = Sent::Read(binary::elements(model, &input.name, input.element, bytes)?);
            }
        }
        Ok(())
    }
}
