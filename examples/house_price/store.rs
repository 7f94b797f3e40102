//! The feature store: a Redis server with what is known about each district, started here where it is installed.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// Postcodes that the store knows: 10000 to 10199.
pub const POSTCODES: std::ops::Range<u32> = 10_000..10_200;

/// A Redis server on a free port; it ends when this is dropped.
pub struct Store {
    process: Child,
    pub url: String,
}

impl Store {
    /// Starts the server and fills it.
    pub fn start() -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let started = Command::new("redis-server").args(arguments).stdout(Stdio::piped()).spawn();
        let mut process = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(
                "redis-server is not installed\n  fix: sudo apt-get install -y redis-server (macOS: brew install redis)",
            ),
            _ => error,
        })?;
        let output = process.stdout.take().map(BufReader::new);
        let mut lines = output.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        let ready = lines.any(|line| line.contains("Ready to accept connections"));
        let store = Self { process, url: format!("redis://127.0.0.1:{port}") };
        if !ready {
            return Err(io::Error::other("redis-server ended before it was ready"));
        }
        store.fill().map_err(io::Error::other)?;
        Ok(store)
    }

    fn fill(&self) -> redis::RedisResult<()> {
        let mut connection = redis::Client::open(self.url.as_str())?.get_connection()?;
        let mut fill = redis::Pipeline::new();
        for postcode in POSTCODES {
            let (income, schools) = (20 + postcode % 60, 1 + postcode % 9);
            fill.cmd("SET").arg(format!("district:{postcode}")).arg(format!("{income},{schools}")).ignore();
        }
        fill.query(&mut connection)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // At once, as a crash would. A server that has ended already needs no end.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
