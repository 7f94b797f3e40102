//! The Open Inference Protocol over gRPC: the same requests as `routes/oip.rs` takes, on a port of its own.

mod answer;
mod calls;
pub(crate) mod codec;
mod compression;
mod counted;
mod deadline;
mod describe;
pub(crate) mod request;
mod serve;
mod service;
mod settings;
mod stream;

pub(crate) use self::serve::{Listening, listen};

/// The protocol's messages and service, as the build makes them from `proto/`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "it is written by a program"
)]
pub(crate) mod proto {
    tonic::include_proto!("inference");
}

/// The description of the protocol: for clients that ask for it, and to read configurations by.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inference.bin"));
