//! Streams of requests: answered in their order, some at a time; a refused one costs the others nothing.

use std::collections::HashMap;
use std::time::Instant;

use futures_util::{Stream, StreamExt};
use tonic::{Request, Status, Streaming};

use super::proto::infer_parameter::ParameterChoice;
use super::proto::{InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};
use super::request::EMPTY_FINAL_RESPONSE;
use super::service::Service;
use crate::oip::Refusal;

/// Requests of one stream that are worked on at once.
const AHEAD: usize = 64;

/// Metadata by which a caller wants a refusal to end the stream with its status.
const ENDS_WITH_STATUS: &str = "triton_grpc_error";

/// Answers a stream of requests.
pub(super) fn answers(
    service: Service,
    asked: Request<Streaming<ModelInferRequest>>,
) -> impl Stream<Item = Result<ModelStreamInferResponse, Status>> + Send {
    let ends = asked.metadata().get(ENDS_WITH_STATUS).is_some_and(|value| value == "true");
    let answers = asked.into_inner().map(move |message| {
        let service = service.clone();
        async move { answer(&service, message?, ends).await }
    });
    let mut over = false;
    answers.buffered(AHEAD).take_while(move |answer| {
        let was_over = std::mem::replace(&mut over, answer.is_err());
        std::future::ready(!was_over)
    })
}

async fn answer(
    service: &Service,
    message: ModelInferRequest,
    ends: bool,
) -> Result<ModelStreamInferResponse, Status> {
    let (id, model_name) = (message.id.clone(), message.model_name.clone());
    let wants_final = message
        .parameters
        .get(EMPTY_FINAL_RESPONSE)
        .is_some_and(|parameter| parameter.parameter_choice == Some(ParameterChoice::BoolParam(true)));
    // The time that a caller gives a stream is not that of its requests.
    let deadline = Instant::now().checked_add(service.state.limits.request_timeout);
    let (error_message, mut response) = match service.infer(message, deadline).await {
        Ok(response) => (String::new(), response),
        Err(refusal) if ends => return Err(refusal.into()),
        Err(refusal) => {
            (Refusal::text(&refusal), ModelInferResponse { id, model_name, ..ModelInferResponse::default() })
        }
    };
    if wants_final {
        // Every request has one answer, which is its last.
        let last = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
        response.parameters = HashMap::from([("triton_final_response".to_owned(), last)]);
    }
    Ok(ModelStreamInferResponse { error_message, infer_response: Some(response) })
}
