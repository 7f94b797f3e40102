//! Messages as bytes: as prost reads and writes them, but no more of them than memory is meant for, and into buffers of their size.

use std::any::TypeId;
use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

use super::proto::ModelInferRequest;

/// The most tensors, raw contents and parameters that a request may have: an empty one has two bytes on the wire and some hundred in memory.
const PARTS_MAX: usize = 16_384;

/// What a call's buffers begin with. tonic's own are larger than what the allocator hands out without its lock.
const BUFFER_BYTES: usize = 512;

/// When a stream's waiting answers are sent, as tonic has it.
const YIELD_BYTES: usize = 32 << 10;

fn buffers() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}

/// Reads messages of the one type, and writes those of the other.
pub(crate) struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Writer<T>;
    type Decoder = Reader<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Reader(ProstDecoder::new(buffers()))
    }
}

/// Writes messages.
pub(crate) struct Writer<T>(PhantomData<T>);

impl<T: Message> Encoder for Writer<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // At once: a buffer that grows by the way is copied each time.
        buffer.reserve(message.encoded_len());
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// Reads messages.
pub(crate) struct Reader<U>(ProstDecoder<U>);

impl<U: Message + Default + 'static> Decoder for Reader<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let is_request = TypeId::of::<U>() == TypeId::of::<ModelInferRequest>();
        let checked = if is_request { check_request(buffer.chunk()) } else { check(buffer.chunk(), &[]) };
        checked.map_err(Status::invalid_argument)?;
        self.0.decode(buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffers()
    }
}

/// The fields of a request that have parameters of their own, `inputs` and `outputs`, and by which field.
const OF_REQUESTS: &[(u32, u32)] = &[(5, 4), (6, 2)];

/// Checks that a message on the wire has no more parts than may be.
///
/// # Errors
/// When it has.
pub(crate) fn check_request(wire: &[u8]) -> Result<(), String> {
    check(wire, OF_REQUESTS)
}

fn check(wire: &[u8], holds: &[(u32, u32)]) -> Result<(), String> {
    let mut parts = 0;
    each_field(wire, |field, message| {
        parts += 1;
        if let Some((_, of_it)) = holds.iter().find(|(holds, _)| *holds == field) {
            each_field(message, |field, _| parts += usize::from(field == *of_it));
        }
    });
    if parts > PARTS_MAX {
        return Err(format!(
            "the message has {parts} tensors, raw contents and parameters; the limit is {PARTS_MAX}"
        ));
    }
    Ok(())
}

/// Goes through the fields of a message that are messages, texts or bytes themselves. What is wrong with it, prost says later.
fn each_field<'w>(mut wire: &'w [u8], mut seen: impl FnMut(u32, &'w [u8])) {
    while let Ok((field, kind)) = decode_key(&mut wire) {
        if kind != WireType::LengthDelimited {
            if skip_field(kind, field, &mut wire, DecodeContext::default()).is_err() {
                return;
            }
            continue;
        }
        let length = decode_varint(&mut wire).ok().and_then(|length| usize::try_from(length).ok());
        let Some((content, rest)) = length.and_then(|length| wire.split_at_checked(length)) else { return };
        seen(field, content);
        wire = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::InferParameter;
    use super::super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
    use super::*;

    fn parameters(count: usize) -> std::collections::HashMap<String, InferParameter> {
        (0..count).map(|at| (at.to_string(), InferParameter::default())).collect()
    }

    #[test]
    fn what_is_many_messages_is_refused_before_it_is_read() {
        let whole = ModelInferRequest {
            inputs: vec![InferInputTensor { parameters: parameters(100), ..InferInputTensor::default() }; 80],
            outputs: vec![
                InferRequestedOutputTensor {
                    parameters: parameters(50),
                    ..InferRequestedOutputTensor::default()
                };
                80
            ],
            parameters: parameters(1000),
            raw_input_contents: vec![Default::default(); PARTS_MAX - 80 * 101 - 80 * 51 - 1000],
            ..ModelInferRequest::default()
        };
        assert_eq!(check_request(&whole.encode_to_vec()), Ok(()));
        let mut one_more = whole;
        one_more.raw_input_contents.push(Default::default());
        let expected = "the message has 16385 tensors, raw contents and parameters; the limit is 16384";
        assert_eq!(check_request(&one_more.encode_to_vec()), Err(expected.to_owned()));
    }

    #[test]
    fn numbers_and_texts_of_a_tensor_are_no_parts() {
        let contents = super::super::proto::InferTensorContents {
            bytes_contents: vec![Default::default(); 2 * PARTS_MAX],
            int64_contents: vec![1; 2 * PARTS_MAX],
            ..Default::default()
        };
        let input = InferInputTensor { contents: Some(contents), ..InferInputTensor::default() };
        let request = ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() };
        assert_eq!(check_request(&request.encode_to_vec()), Ok(()));
    }

    #[test]
    fn a_broken_message_is_left_to_who_reads_it() {
        for wire in [&[0x2a_u8, 0xff][..], &[0xff; 20], &[0x2b, 0x2b], &[0x2a, 5, 1]] {
            assert_eq!(check_request(wire), Ok(()));
        }
    }
}
