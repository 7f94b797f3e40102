//! The test's end of a held server: it sees each batch that reaches the model, and decides when it runs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::http::{Connection, Response, get, request};
use super::process::{Ended, PATIENCE, Program, Server};
use super::programs::example;

/// A server with one runner and a model that waits for the test.
pub struct Held {
    server: Server,
    arrivals: Receiver<Batch>,
}

/// A batch that waits at the model.
#[must_use = "dropped, it fails"]
pub struct Batch {
    pub items: Vec<String>,
    model: TcpStream,
}

impl Batch {
    pub fn pass(self) {
        self.end("pass");
    }

    pub fn fail(self) {
        self.end("fail");
    }

    fn end(mut self, verdict: &str) {
        writeln!(self.model, "{verdict}").expect("the model waits");
    }
}

impl Held {
    /// Starts a server with these flags, and lets its warm-up pass.
    pub fn serve(flags: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (sender, arrivals) = channel();
        std::thread::spawn(move || {
            // Ends with the process: the listener has no use after its test, and does no harm.
            for (arrival, model) in listener.incoming().map_while(Result::ok).enumerate() {
                let mut items = String::new();
                let read = model.try_clone().and_then(|model| BufReader::new(model).read_line(&mut items));
                read.expect("the model names its items");
                let items = items.split_whitespace().map(str::to_owned).collect();
                let batch = Batch { items, model };
                if arrival == 0 {
                    batch.pass();
                } else if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        let program = Program::new(example("held")).args(&["--port", "0", "--runners", "1"]).args(flags);
        Self { server: program.env("HELD_BY", &address).serve(), arrivals }
    }

    /// Waits for the next batch at the model.
    pub fn next_batch(&self) -> Batch {
        self.arrivals.recv_timeout(PATIENCE).expect("a batch arrives at the model")
    }

    /// Expects that the next batch holds these items.
    pub fn expect(&self, items: &[&str]) -> Batch {
        let batch = self.next_batch();
        assert_eq!(batch.items, items);
        batch
    }

    /// Expects that nothing has arrived at the model that was not asked for.
    pub fn expect_nothing(&self) {
        assert!(self.arrivals.try_recv().is_err(), "a batch arrived at the model");
    }

    /// Sends an item with more headers, and leaves the answer for later.
    pub fn send(&self, item: &str, headers: &[(&str, &str)]) -> Connection {
        let mut connection = self.server.connect();
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        let sent = connection.send(&request("POST", "/models/held/predict", &headers, format!("{item:?}")));
        sent.expect("the server reads the request");
        connection
    }

    /// Sends many items in one call, and leaves the answer for later.
    pub fn send_many(&self, items: &[String], headers: &[(&str, &str)]) -> Connection {
        let mut connection = self.server.connect();
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        let sent =
            connection.send(&request("POST", "/models/held/predict_batch", &headers, format!("{items:?}")));
        sent.expect("the server reads the request");
        connection
    }

    /// Tells the server to stop, and waits until it has ended.
    pub fn stop(self) -> Ended {
        self.server.stop()
    }

    /// Sends lines in one call, and leaves the answers for later.
    pub fn send_lines(&self, items: &[&str], headers: &[(&str, &str)]) -> Connection {
        let mut connection = self.server.connect();
        let headers = [&[("Content-Type", "application/x-ndjson")], headers].concat();
        let lines: String = items.iter().map(|item| format!("{item:?}\n")).collect();
        let sent = connection.send(&request("POST", "/models/held/predict_batch", &headers, lines));
        sent.expect("the server reads the request");
        connection
    }

    /// Asks whether it is ready, and leaves the answer for later.
    pub fn probe(&self) -> Connection {
        let mut connection = self.server.connect();
        connection.send(&get("/health/ready")).expect("the server reads the request");
        connection
    }

    /// Returns a number of its model, zero before it was counted.
    pub fn number(&self, name: &str, labels: &str) -> i64 {
        let page = self.server.ask(&get("/metrics")).text();
        let name = format!("{name}{{{labels}}} ");
        page.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until a number of its model is this large.
    pub fn wait_for_number(&self, name: &str, labels: &str, number: i64) {
        let started = Instant::now();
        while self.number(name, labels) < number {
            assert!(
                started.elapsed() < PATIENCE,
                "{name}{{{labels}}} does not reach {number}:\n{}",
                self.server.ask(&get("/metrics")).text()
            );
        }
    }

    /// Waits until so many items wait for the runner.
    pub fn wait_for_waiting(&self, items: i64) {
        self.wait_for_number("ml_queue_items", r#"model="held""#, items);
    }
}

/// Reads an answer that was left for later.
pub fn answer(mut connection: Connection) -> Response {
    connection.receive().expect("the answer is whole").expect("there is an answer")
}
