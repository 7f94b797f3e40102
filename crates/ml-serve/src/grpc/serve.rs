//! The gRPC server: threads of its own, since its calls may be of any thread and those over HTTP may not.
//!
//! Each thread has its connections from their first byte to their last, as those of HTTP have: a pool whose threads take tasks from
//! each other spends more on waking threads than on a small call.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::select;
use futures_util::{Stream, stream};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;

use super::DESCRIPTORS;
use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Service;
use super::{compression, deadline};
use crate::state::State;

/// How long no connection is taken when the system has no room for one.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// A gRPC server that listens, until this is dropped.
pub(crate) struct Listening {
    pub address: SocketAddr,
    _open: watch::Sender<()>,
}

/// Starts to serve; calls are answered from now on.
///
/// # Errors
/// When the address cannot be listened on, or the system gives no threads.
pub(crate) fn listen(address: (&str, u16), threads: usize, state: &Arc<State>) -> io::Result<Listening> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (routes, health) = routes(state).map_err(io::Error::other)?;
    let (open, closed) = watch::channel(());
    let mut shares = Vec::new();
    for _ in 0..threads.max(1) {
        let (share, connections) = unbounded_channel();
        shares.push(share);
        let serving = serve(connections, routes.clone(), Arc::clone(state));
        start("grpc", closed.clone(), async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "a thread of the gRPC server ended");
            }
        })?;
    }
    let state = Arc::clone(state);
    start("grpc-accept", closed, async move {
        health.set_serving::<GrpcInferenceServiceServer<Service>>().await;
        select(pin!(accept(listener, &shares)), pin!(state.drained())).await;
        health.set_not_serving::<GrpcInferenceServiceServer<Service>>().await;
    })?;
    Ok(Listening { address, _open: open })
}

/// Runs a task on a thread of its own, until it ends or the server is closed.
fn start(
    name: &str,
    mut closed: watch::Receiver<()>,
    task: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        // Nothing is ever sent: it is changed when the sender is gone.
        runtime.block_on(select(pin!(task), pin!(closed.changed())));
    };
    thread::Builder::new().name(name.to_owned()).spawn(work)?;
    Ok(())
}

/// Takes connections, and gives each to the next thread.
async fn accept(listener: TcpListener, shares: &[UnboundedSender<TcpStream>]) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "no connection can be taken");
            return;
        }
    };
    for share in shares.iter().cycle() {
        let taken = async { listener.accept().await?.0.into_std() };
        match taken.await {
            // A thread that has ended has said so.
            Ok(connection) => drop(share.send(connection)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(FULL_PAUSE).await;
            }
        }
    }
}

/// The connections that a thread is given.
fn incoming(
    mut connections: UnboundedReceiver<TcpStream>,
) -> impl Stream<Item = io::Result<tokio::net::TcpStream>> {
    let ready = |connection: TcpStream| {
        connection.set_nodelay(true)?;
        tokio::net::TcpStream::from_std(connection)
    };
    stream::poll_fn(move |context| connections.poll_recv(context).map(|next| next.map(ready)))
}

async fn serve(
    connections: UnboundedReceiver<TcpStream>,
    routes: Routes,
    state: Arc<State>,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(connections), async move { state.drained().await })
        .await
}

/// The services, which all threads share, and who says that they serve.
fn routes(state: &Arc<State>) -> Result<(Routes, HealthReporter), tonic_reflection::server::Error> {
    let bytes_max = state.limits.body_bytes_max;
    let service = GrpcInferenceServiceServer::new(Service { state: Arc::clone(state) })
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Deflate)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Deflate)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(usize::MAX);
    let (health_reporter, health) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Python's clients know only the older of the two.
    let (reflection, older_reflection) = (reflection().build_v1()?, reflection().build_v1alpha()?);
    let noted = |call| deadline::arrived(compression::in_kind(call));
    let routes = Routes::new(InterceptedService::new(service, noted))
        .add_service(health)
        .add_service(reflection)
        .add_service(older_reflection);
    Ok((routes, health_reporter))
}
