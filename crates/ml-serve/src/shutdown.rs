//! The end: stop accepting, answer what was accepted, and give up only at the limit or when told twice.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::rt::time::sleep;
use futures_util::future::{Either, select};

use crate::server::ServeError;
use crate::state::State;

/// How often the number of unanswered requests is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Callers that are between two requests on one connection get this long to send the next one and be told to leave.
///
/// Connections that are still idle after it are closed; a caller that sends on one at that very moment sees a
/// closed connection, as with any server that closes an idle one.
const LAST_CALL: Duration = Duration::from_millis(400);

/// A runner ends with its batch. One that nobody waits for any more gets this long: its model may hang, and the process would with it.
const LAST_BATCH: Duration = Duration::from_secs(2);

/// The signals that end the server.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        let (terminate, interrupt) = (Box::pin(self.terminate.recv()), Box::pin(self.interrupt.recv()));
        select(terminate, interrupt).await;
    }
}

/// Returns when the server has been told to stop and has answered what it had accepted.
pub(crate) async fn until_stopped(
    mut signals: Signals,
    handle: ServerHandle,
    state: &State,
    drain_timeout: Duration,
) -> Result<(), ServeError> {
    signals.next().await;
    tracing::info!(unanswered = state.metrics.at_work.get(), ?drain_timeout, "stopping");
    state.drain();
    let drained = Box::pin(drain(handle, state, drain_timeout));
    let told_twice = Box::pin(signals.next());
    if let Either::Right(_) = select(drained, told_twice).await {
        tracing::warn!("told to stop a second time");
    }
    // Counted before the server is torn down, which takes the requests that hang with it.
    match state.metrics.at_work.get() {
        0 => Ok(()),
        requests => Err(ServeError::Unanswered { requests }),
    }
}

/// Lets the models go, whose runners end with them.
///
/// # Errors
/// When one of them hangs in its model: it is left to the end of the process.
pub(crate) fn let_go(state: State) -> Result<(), ServeError> {
    let (gone, all_gone) = channel::<()>();
    thread::Builder::new().name("let-go".to_owned()).spawn(move || {
        drop(state);
        drop(gone);
    })?;
    match all_gone.recv_timeout(LAST_BATCH) {
        Err(RecvTimeoutError::Timeout) => Err(ServeError::Hanging { limit: LAST_BATCH }),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
    }
}

async fn drain(handle: ServerHandle, state: &State, limit: Duration) {
    let deadline = Instant::now() + limit;
    // New connections wait in the system's queue for the moment, and are refused once the socket closes.
    handle.pause().await;
    let last_call = Instant::now() + LAST_CALL.min(limit);
    while Instant::now() < last_call {
        sleep(LOOK).await;
    }
    // Closes the socket and the idle connections; those with a request at work close after its answer.
    let stopping = handle.stop(true);
    actix_web::rt::spawn(stopping);
    while state.metrics.at_work.get() > 0 && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    // The last answers are in the sockets' buffers; the workers close those connections in their own time.
    sleep(LOOK).await;
}
