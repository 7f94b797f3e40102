//! Who answers a call: the protocol's service, or one of those that tell of it.

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::future::Either;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::{BoxFuture, Service as _, http};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Service;
use super::{DESCRIPTORS, compression, deadline};
use crate::state::State;

/// The services, which all connections share.
///
/// Calls of the protocol do not go by the router: that its boxes and its layers cost more than what it finds.
#[derive(Clone)]
pub(super) struct Calls {
    inference: GrpcInferenceServiceServer<Service>,
    others: Routes,
}

impl Calls {
    /// Returns the services, and who says that they serve.
    pub fn of(state: &State) -> Result<(Self, HealthReporter), tonic_reflection::server::Error> {
        let (health_reporter, health) = tonic_health::server::health_reporter();
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Python's clients know only the older of the two.
        let (reflection, older_reflection) = (reflection().build_v1()?, reflection().build_v1alpha()?);
        let others = Routes::new(health).add_service(reflection).add_service(older_reflection).prepare();
        Ok((Self { inference: inference(state), others }, health_reporter))
    }

    /// Returns the same services for another thread, which counts their users for itself.
    pub fn for_thread(&self, state: &State) -> Self {
        Self { inference: inference(state), others: self.others.clone() }
    }
}

fn inference(state: &State) -> GrpcInferenceServiceServer<Service> {
    let bytes_max = state.limits.body_bytes_max;
    GrpcInferenceServiceServer::new(Service { state: Arc::new(state.clone()) })
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Deflate)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(usize::MAX)
}

/// Whether a path is `/SERVICE/METHOD` of the protocol.
fn is_inference(path: &str) -> bool {
    let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
    service == Some(<GrpcInferenceServiceServer<Service> as NamedService>::NAME)
}

impl hyper::service::Service<http::Request<Incoming>> for Calls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Either<
        BoxFuture<Self::Response, Infallible>,
        <Routes as tonic::codegen::Service<http::Request<Incoming>>>::Future,
    >;

    fn call(&self, mut call: http::Request<Incoming>) -> Self::Future {
        if !is_inference(call.uri().path()) {
            return Either::Right(self.others.clone().call(call));
        }
        compression::in_kind(call.headers_mut());
        deadline::arrived(call.extensions_mut());
        Either::Left(self.inference.clone().call(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_protocol_are_told_by_their_service() {
        for (path, expected) in [
            ("/inference.GRPCInferenceService/ModelInfer", true),
            ("/inference.GRPCInferenceService/Unknown", true),
            ("/inference.GRPCInferenceServices/ModelInfer", false),
            ("/inference.GRPCInferenceService", false),
            ("/grpc.health.v1.Health/Check", false),
            ("", false),
        ] {
            assert_eq!(is_inference(path), expected, "{path}");
        }
    }
}
