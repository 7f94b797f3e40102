//! The echo: bare actix handlers without a model. What they reach is what HTTP and JSON alone leave to a server.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use actix_web::web::{Bytes, Data, Json, JsonConfig, PayloadConfig, get, post};
use actix_web::{App, HttpResponse, HttpServer, rt};
use serde::{Deserialize, Serialize};

use crate::Error;

/// As much as `ml-serve` takes by default.
const MAX_BODY_BYTES: usize = 64 << 20;

/// What the echo server is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoOptions {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// Its threads.
    pub workers: NonZeroUsize,
    /// The size of the body of `/bytes`.
    pub bytes: usize,
}

/// What `/parse` takes.
#[derive(Debug, Deserialize)]
struct Terms {
    a: Vec<f32>,
    b: Vec<f32>,
}

/// What `/parse` answers.
#[derive(Debug, Serialize)]
struct Sum {
    sum: Vec<f32>,
}

/// Serves until a signal comes, and says where once it listens.
///
/// # Errors
///
/// When the port is taken or `listening` fails.
pub fn echo(
    options: &EchoOptions,
    listening: impl FnOnce(SocketAddr) -> io::Result<()>,
) -> Result<(), Error> {
    let unusable = |source| Error::Listen { port: options.port, source };
    let body = Data::new(Bytes::from(vec![b'x'; options.bytes]));
    let app = move || {
        App::new()
            .app_data(Data::clone(&body))
            .app_data(JsonConfig::default().limit(MAX_BODY_BYTES))
            .app_data(PayloadConfig::new(MAX_BODY_BYTES))
            .route("/echo", post().to(echo_body))
            .route("/parse", post().to(parse))
            .route("/bytes", get().to(bytes))
            .route("/bytes", post().to(bytes))
    };
    let serve = async {
        let server = HttpServer::new(app).workers(options.workers.get()).bind(("127.0.0.1", options.port))?;
        server.addrs().first().copied().map_or(Ok(()), listening)?;
        server.run().await
    };
    rt::System::new().block_on(serve).map_err(unusable)
}

async fn echo_body(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}

async fn parse(Json(Terms { a, b }): Json<Terms>) -> HttpResponse {
    if a.len() != b.len() {
        return HttpResponse::BadRequest().body(format!("a has {} numbers, b has {}", a.len(), b.len()));
    }
    HttpResponse::Ok().json(Sum { sum: a.iter().zip(&b).map(|(a, b)| a + b).collect() })
}

// The request's body is read, as any server must: actix closes the connection of a request whose body nobody read.
async fn bytes(body: Data<Bytes>, _: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Bytes::clone(&body))
}
