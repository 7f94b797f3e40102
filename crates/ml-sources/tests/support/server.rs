//! Debian's `redis-server` as a process: started on a free port, killed, started again.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use ml_sources::{Redis, RedisOptions};

/// A Redis server without a disk; dropping it ends it.
pub struct RedisServer {
    pub port: u16,
    process: Child,
}

impl RedisServer {
    pub fn start() -> Self {
        // The system gives a port that is free; nothing else asks for that one in the meantime.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        Self { port, process: spawn(port) }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn client(&self) -> Redis {
        Redis::open(&self.url(), RedisOptions::default()).expect("a URL")
    }

    /// Runs `commands` on a connection of the test's own, by the `redis` crate.
    pub fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).expect("a URL");
        client.get_connection().expect("the server takes connections")
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it is ours");
    }

    /// Starts it again, empty, where it was.
    pub fn restart(&mut self) {
        self.process = spawn(self.port);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(port: u16) -> Child {
    let started = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::piped())
        .spawn();
    let mut process = started
        .unwrap_or_else(|error| panic!("redis-server: {error}\n  fix: sudo apt-get install -y redis-server"));
    let output = process.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    let ready = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
    assert!(ready, "redis-server did not start on port {port}");
    // What it still has to say is read, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    process
}
