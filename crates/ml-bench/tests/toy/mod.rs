//! A server with a toy model on a free loopback port, which keeps the contract of `ml-serve`.
//!
//! An item is `{"n": number}`; its output is `{"label": "even" or "odd", "score": n / 10, "scores": [n / 10, n]}`.

#![allow(dead_code, reason = "each test file uses another part")]

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{Data, Json, Path, ServiceConfig, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use ml_bench::{Server, Target};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// The model "gate" answers nothing until so many requests wait for it.
pub const GATE: usize = 20;

/// What the server has seen.
pub struct Seen {
    /// The bodies, in order.
    pub bodies: Mutex<Vec<Value>>,
    gate: Semaphore,
}

pub struct Toy {
    pub url: String,
    pub seen: Arc<Seen>,
}

impl Toy {
    /// Starts the server on a thread that ends with the process.
    pub fn start() -> Self {
        let seen = Arc::new(Seen { bodies: Mutex::default(), gate: Semaphore::new(0) });
        let (port, ports) = mpsc::channel();
        let shared = Data::from(Arc::clone(&seen));
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(shared.clone()).configure(routes);
                let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
                port.send(server.addrs()[0].port()).unwrap();
                server.run().await.unwrap();
            });
        });
        Self { url: format!("http://127.0.0.1:{}", ports.recv().unwrap()), seen }
    }

    pub fn server(&self, model: &str) -> Server {
        let timeout = Duration::from_secs(20);
        Server { url: self.url.clone(), model: model.to_owned(), target: Target::default(), timeout }
    }
}

/// Writes a file for one test, whose name keeps it apart from the others.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ml-bench-{name}"));
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns the toy model's output.
pub fn output(n: f64) -> Value {
    let label = if n % 2.0 == 0.0 { "even" } else { "odd" };
    json!({"label": label, "score": n / 10.0, "scores": [n / 10.0, n]})
}

fn routes(app: &mut ServiceConfig) {
    app.route("/models/{model}/predict", post().to(predict))
        .route("/models/{model}/predict_batch", post().to(predict_batch))
        .route("/v1/{model}:predict", post().to(rival));
}

async fn predict(model: Path<String>, Json(item): Json<Value>, seen: Data<Seen>) -> HttpResponse {
    let waiting = {
        let mut bodies = seen.bodies.lock().unwrap();
        bodies.push(item.clone());
        bodies.len()
    };
    match model.as_str() {
        "held" => std::future::pending().await,
        "gate" if waiting < GATE => drop(seen.gate.acquire().await),
        "gate" => seen.gate.close(),
        _ => {}
    }
    match answer(&item) {
        _ if *model == "unknown" => HttpResponse::NotFound().json(error("unknown_model")),
        Ok(output) => HttpResponse::Ok().json(output),
        Err(error) => HttpResponse::UnprocessableEntity().json(error),
    }
}

async fn predict_batch(model: Path<String>, Json(items): Json<Vec<Value>>, seen: Data<Seen>) -> HttpResponse {
    seen.bodies.lock().unwrap().push(Value::from(items.clone()));
    let mut answers: Vec<Value> = items
        .iter()
        .map(|item| {
            answer(item).map_or_else(|error| json!({"error": error}), |output| json!({"output": output}))
        })
        .collect();
    match model.as_str() {
        "overloaded" => return HttpResponse::TooManyRequests().json(error("overloaded")),
        "forgetful" => drop(answers.pop()),
        _ => {}
    }
    HttpResponse::Ok().json(answers)
}

/// A server with other habits: a key, `instances` in, `predictions` out.
async fn rival(request: HttpRequest, Json(mut body): Json<Value>) -> HttpResponse {
    if request.headers().get("x-key").is_none_or(|key| key != "open") {
        return HttpResponse::Unauthorized().body("no key");
    }
    let Value::Array(items) = body["instances"].take() else { return HttpResponse::BadRequest().finish() };
    let predictions: Vec<Value> = items.iter().map(|item| answer(item).unwrap()).collect();
    HttpResponse::Ok().json(json!({"predictions": predictions}))
}

fn answer(item: &Value) -> Result<Value, Value> {
    item["n"].as_f64().map(output).ok_or_else(|| error("invalid_item"))
}

fn error(code: &str) -> Value {
    json!({"code": code, "message": format!("this is {code}")})
}
