//! Debian's `redis-server` as a process: started on a free port, killed, started again.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use ml_sources::{Redis, RedisOptions};

use super::certificates::Certificates;

/// A Redis server without a disk; dropping it ends it.
pub struct RedisServer {
    pub port: u16,
    encrypted_port: Option<u16>,
    process: Child,
}

impl RedisServer {
    pub fn start() -> Self {
        let port = free_port();
        Self { port, encrypted_port: None, process: spawn(port, &[]) }
    }

    /// Starts one that also takes encrypted connections, from whoever.
    pub fn start_encrypted(certificates: &Certificates) -> Self {
        let (port, encrypted_port) = (free_port(), free_port());
        let path = |file| certificates.path(file).to_string_lossy().into_owned();
        let flags = [
            ("--tls-port", encrypted_port.to_string()),
            ("--tls-cert-file", path("server.pem")),
            ("--tls-key-file", path("server.key")),
            ("--tls-ca-cert-file", path("trusted.pem")),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let flags: Vec<_> = flags.iter().flat_map(|(flag, value)| [*flag, value]).collect();
        Self { port, encrypted_port: Some(encrypted_port), process: spawn(port, &flags) }
    }

    pub fn encrypted_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.encrypted_port.expect("it was started encrypted"))
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
        self.process = spawn(self.port, &[]);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The system gives a port that is free; nothing else asks for that one in the meantime.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn spawn(port: u16, flags: &[&str]) -> Child {
    let started = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(flags)
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
