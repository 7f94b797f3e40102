//! The gRPC server: threads of its own, since its calls may move between threads and those over HTTP may not.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::DESCRIPTORS;
use super::deadline;
use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Service;
use crate::state::State;

/// A gRPC server that listens.
pub(crate) struct Listening {
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

/// Starts to serve; calls are answered from now on.
///
/// # Errors
/// When the address cannot be listened on, or the system gives no threads.
pub(crate) fn listen(address: (&str, u16), threads: usize, state: &Arc<State>) -> io::Result<Listening> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads.max(1))
        .thread_name("grpc")
        .enable_all()
        .build()?;
    let incoming = {
        let _inside = runtime.enter();
        TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true))
    };
    let state = Arc::clone(state);
    runtime.spawn(async move {
        if let Err(error) = serve(incoming, state).await {
            tracing::error!(%error, "the gRPC server ended");
        }
    });
    Ok(Listening { address, runtime: Some(runtime) })
}

async fn serve(
    incoming: TcpIncoming,
    state: Arc<State>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let bytes_max = state.limits.body_bytes_max;
    let service = GrpcInferenceServiceServer::new(Service { state: Arc::clone(&state) })
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Deflate)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(usize::MAX);
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<GrpcInferenceServiceServer<Service>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Python's clients know only the older of the two.
    let (reflection, older_reflection) = (reflection().build_v1()?, reflection().build_v1alpha()?);
    let draining = {
        let state = Arc::clone(&state);
        async move {
            state.drained().await;
            health_reporter.set_not_serving::<GrpcInferenceServiceServer<Service>>().await;
        }
    };
    Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(InterceptedService::new(service, deadline::arrived))
        .add_service(health)
        .add_service(reflection)
        .add_service(older_reflection)
        .serve_with_incoming_shutdown(incoming, draining)
        .await?;
    Ok(())
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Everything was answered by now, or is not going to be; and to wait is not allowed inside another runtime.
            runtime.shutdown_background();
        }
    }
}
