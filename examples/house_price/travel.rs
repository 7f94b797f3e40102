//! The travel service: another team's HTTP service, with switches for what can go wrong with it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, Query};
use actix_web::{App, HttpResponse, HttpServer, Responder, rt, web};
use serde::Deserialize;

/// What goes wrong with the service; clones share it.
#[derive(Clone, Default)]
pub struct Switch(Arc<State>);

#[derive(Default)]
struct State {
    latency_ms: AtomicU64,
    errors_percent: AtomicU64,
    outage: AtomicBool,
    requests: AtomicU64,
}

/// `POST /switch?latency_ms=300&errors_percent=50&outage=true`; what is not named is off.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trouble {
    pub latency_ms: u64,
    pub errors_percent: u64,
    /// Every connection is cut off in the middle of its answer.
    pub outage: bool,
}

impl Switch {
    pub fn set(&self, trouble: Trouble) {
        self.0.latency_ms.store(trouble.latency_ms, Ordering::Relaxed);
        self.0.errors_percent.store(trouble.errors_percent, Ordering::Relaxed);
        self.0.outage.store(trouble.outage, Ordering::Relaxed);
    }

    /// Returns how many requests the service has had.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

/// Starts the service on a free port, on threads of its own.
pub fn start(switch: Switch) -> std::io::Result<SocketAddr> {
    let app = move || {
        App::new()
            .app_data(Data::new(switch.clone()))
            .route("/minutes/{postcode}", web::get().to(minutes))
            .route("/switch", web::post().to(set))
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        rt::System::new().block_on(async {
            // It ends with the program, whose signals are the other server's.
            let server = HttpServer::new(app).workers(1).disable_signals().listen(listener)?;
            server.run().await
        })
    });
    Ok(address)
}

async fn minutes(postcode: Path<String>, switch: Data<Switch>) -> impl Responder {
    let number = switch.0.requests.fetch_add(1, Ordering::Relaxed);
    rt::time::sleep(Duration::from_millis(switch.0.latency_ms.load(Ordering::Relaxed))).await;
    if switch.0.outage.load(Ordering::Relaxed) {
        return HttpResponse::Ok().body(Cut);
    }
    // Spread evenly: 50 % is every other request.
    if number * 37 % 100 < switch.0.errors_percent.load(Ordering::Relaxed) {
        return HttpResponse::new(StatusCode::SERVICE_UNAVAILABLE);
    }
    match postcode.parse::<u32>() {
        Ok(postcode) => HttpResponse::Ok().json(minutes_of(postcode)),
        Err(_) => HttpResponse::NotFound().finish(),
    }
}

async fn set(trouble: Query<Trouble>, switch: Data<Switch>) -> impl Responder {
    switch.set(trouble.into_inner());
    HttpResponse::NoContent()
}

/// A body that ends before it has begun, and its connection with it.
struct Cut;

impl MessageBody for Cut {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(4)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        Poll::Ready(Some(Err(io::Error::other("the switch says so"))))
    }
}

/// The made-up timetable: postcodes ending in 0 are near the centre.
fn minutes_of(postcode: u32) -> f32 {
    3.0 + (postcode % 10) as f32 * 5.5
}
