//! An inference, whatever carried it: tensors in, the outputs that are wanted out.

use std::time::Instant;

use ml_core::{Priority, Timings};

use super::inputs::Contract;
use super::outputs::{Answered, Wanted};
use super::request::InferRequest;
use super::{Refusal, binary, models};
use crate::onnx::TensorModel;
use crate::state::State;

/// How a call is to be treated, where its parameters do not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    pub deadline: Option<Instant>,
    pub priority: Priority,
}

/// Answers a request.
///
/// # Errors
/// Says what is wrong with it, or why there is no answer.
pub(crate) async fn infer<'a>(
    state: &State,
    (model, contract): (&TensorModel, Contract<'a>),
    mut asked: InferRequest,
    usual: Usual,
) -> Result<(Vec<Answered<'a>>, Timings), Refusal> {
    let wanted = Wanted::read(contract, &asked)?;
    wanted.check(&state.regions)?;
    asked.fetch(&state.regions, contract.name)?;
    let inputs = contract.inputs(std::mem::take(&mut asked.inputs))?;
    let settled = contract.pipeline.settled();
    let options = asked.parameters.options(usual, settled.schedule);
    // Of a model that knows no sequences, whatever a request says of one means nothing.
    let of_sequences = settled.plan.is_some();
    let position = of_sequences.then(|| asked.parameters.position(contract.name)).transpose()?;
    let call = models::call((contract.name, model), inputs, position.as_ref(), options);
    let (outputs, timings) = call.await?;
    state.traces.answered(contract, &asked.id, &timings);
    let outputs = wanted.pick(contract, asked.parameters.binary_output, &outputs)?;
    for output in &outputs {
        if let Some(window) = &output.memory {
            state.regions.write(window, output.name, &binary::wire_bytes(&output.tensor))?;
        }
    }
    Ok((outputs, timings))
}
