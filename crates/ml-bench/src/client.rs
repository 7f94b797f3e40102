//! One thread's HTTP client: it posts a body and returns the answer's body or why there is none.

use std::cell::RefCell;
use std::error::Error as _;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Instant, Sleep, sleep};
use actix_web::web::Bytes;
use futures_util::future::{Either, select};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::failure::{Failure, FailureKind};
use crate::server::Endpoint;
use crate::target::text_of;

/// The largest answer that is read. A batch of 256 long embeddings has a few MiB.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// How much of a body that is no JSON error is quoted in a failure.
const MAX_QUOTE_CHARS: usize = 200;

type Connection = SendRequest<Full<Bytes>>;

/// A keep-alive HTTP/1.1 client. It is used on the thread that made it, and has as many connections as there are requests in flight.
///
/// hyper's connections without its pool, and no timer for each request: what the client spends, the server lacks.
pub(crate) struct Client {
    head: Parts,
    address: String,
    idle: RefCell<Vec<Connection>>,
    timeout: Duration,
}

impl Client {
    /// Makes a client that posts to an endpoint.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let mut client = Self::asking(Method::POST, &endpoint.uri, endpoint.timeout);
        client.head.headers.extend(endpoint.headers.clone());
        client
    }

    /// Makes a client that asks for what lies somewhere.
    pub(crate) fn getting(uri: &Uri, timeout: Duration) -> Self {
        Self::asking(Method::GET, uri, timeout)
    }

    fn asking(method: Method, uri: &Uri, timeout: Duration) -> Self {
        let (mut head, ()) = Request::new(()).into_parts();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        head.method = method;
        head.uri = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        // What stands in an address may stand in a header.
        head.headers.extend(HeaderValue::from_str(authority).ok().map(|host| (HOST, host)));
        let address = format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        Self { head, address, idle: RefCell::default(), timeout }
    }

    /// Returns an alarm for requests that follow each other.
    ///
    /// A new one for each would be a system call each, since the runtime is woken to learn of it; one that is put off is not.
    pub(crate) fn alarm(&self) -> Pin<Box<Sleep>> {
        Box::pin(sleep(self.timeout))
    }

    /// Sends a body and returns the body of the answer.
    pub(crate) async fn send(
        &self,
        body: impl Into<Bytes>,
        alarm: &mut Pin<Box<Sleep>>,
    ) -> Result<Bytes, Failure> {
        alarm.as_mut().reset(Instant::now() + self.timeout);
        match select(pin!(self.exchange(body.into())), alarm).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                Err(Failure::new(FailureKind::Timeout, format!("no answer in {:?}", self.timeout)))
            }
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<Bytes, Failure> {
        let (connection, answer) =
            self.answer(Request::from_parts(self.head.clone(), Full::new(body))).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| Failure::new(FailureKind::Connection, error.to_string()))?.to_bytes();
        self.idle.borrow_mut().push(connection);
        if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
    }

    /// Sends a request over a connection that is idle, or over a new one.
    async fn answer(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        while let Some(mut connection) = self.take_idle() {
            // The server may have closed it meanwhile.
            if connection.ready().await.is_err() {
                continue;
            }
            match connection.try_send_request(request).await {
                Ok(answer) => return Ok((connection, answer)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(error.error())),
                },
            }
        }
        let mut connection = self.connect().await?;
        let answer = connection.send_request(request).await.map_err(|error| broken(&error))?;
        Ok((connection, answer))
    }

    fn take_idle(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let unreachable = |error: io::Error| {
            let kind = match error.kind() {
                io::ErrorKind::TimedOut => FailureKind::Timeout,
                _ => FailureKind::Connection,
            };
            Failure::new(kind, format!("cannot connect to {}: {error}", self.address))
        };
        let stream = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let (connection, work) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // What goes wrong with it, the request that is under way hears.
        actix_web::rt::spawn(async move { drop(work.await) });
        Ok(connection)
    }
}

fn broken(error: &hyper::Error) -> Failure {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new(FailureKind::Connection, format!("{error}{cause}"))
}

fn refused(status: u16, body: &[u8]) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let quote = || String::from_utf8_lossy(body).chars().take(MAX_QUOTE_CHARS).collect();
    let detail = text_of(&json, "message").unwrap_or_else(quote);
    Failure::new(FailureKind::Status { status, code: text_of(&json, "code") }, detail)
}
