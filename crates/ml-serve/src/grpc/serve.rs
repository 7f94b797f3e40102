//! The gRPC server: threads of its own, since its calls may be of any thread and those over HTTP may not.
//!
//! Each thread has its connections from their first byte to their last, as those of HTTP have: a pool whose threads take tasks from
//! each other spends more on waking threads than on a small call.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::calls::Calls;
use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Service;
use crate::state::State;

/// How long no connection is taken when the system has no room for one.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// How much of one call, and of all calls of a connection, may be under way before it is read.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// How far the next timer of a thread is at most.
///
/// tokio wakes the thread, by a system call, for each timer that is set while none is nearer, even if it is the thread that sets it; and
/// every call that has to wait sets one.
const PULSE: Duration = Duration::from_millis(500);

/// Why a connection ended before its time.
type Failed = Box<dyn Error + Send + Sync>;

/// A gRPC server that listens, until this is dropped.
pub(crate) struct Listening {
    pub address: SocketAddr,
    _open: watch::Sender<()>,
}

/// Starts to serve; calls are answered from now on.
///
/// # Errors
/// When the address cannot be listened on, or the system gives no threads.
pub(crate) fn listen(address: (&str, u16), threads: usize, state: &State) -> io::Result<Listening> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (calls, health) = Calls::of(state).map_err(io::Error::other)?;
    let (open, closed) = watch::channel(());
    let mut shares = Vec::new();
    for _ in 0..threads.max(1) {
        let (share, connections) = unbounded_channel();
        shares.push(share);
        start("grpc", closed.clone(), serve(connections, calls.for_thread(state), state.clone()))?;
    }
    let state = state.clone();
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

/// Answers all calls of the connections that a thread is given, until there are no more.
async fn serve(mut connections: UnboundedReceiver<TcpStream>, calls: Calls, state: State) {
    tokio::spawn(async {
        loop {
            tokio::time::sleep(PULSE).await;
        }
    });
    let mut open = JoinSet::new();
    while let Some(connection) = connections.recv().await {
        // Those that have ended are let go.
        while open.try_join_next().is_some() {}
        let answered = answer(connection, calls.clone(), state.clone());
        open.spawn(async {
            if let Err(error) = answered.await {
                tracing::debug!(error = error as Box<dyn Error>, "a connection failed");
            }
        });
    }
    while open.join_next().await.is_some() {}
}

/// Answers the calls of a connection. Once the server drains, its caller is told to make no more.
async fn answer(connection: TcpStream, calls: Calls, state: State) -> Result<(), Failed> {
    connection.set_nodelay(true)?;
    let connection = TokioIo::new(tokio::net::TcpStream::from_std(connection)?);
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // No client of gRPC asks for the date.
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .serve_connection(connection, calls);
    match select(pin!(serving), pin!(state.drained())).await {
        Either::Left((ended, _)) => ended?,
        Either::Right(((), mut serving)) => {
            serving.as_mut().graceful_shutdown();
            serving.await?;
        }
    }
    Ok(())
}
