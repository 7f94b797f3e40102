//! Connections that ask once and then only stay: what they cost a server is theirs alone, whatever the load.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::time::Duration;

use http::Uri;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use crate::Error;

/// How long connecting, and the one answer, may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Files that the rest of the run opens: connections under load, the report, the runtime's own.
const OTHER_FILES: u64 = 12_000;

/// How many of the connections were there, and stayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Idle {
    /// Connections that were opened, and answered once.
    pub opened: usize,
    /// Those of them that the server had not closed when the load ended.
    pub open_at_end: usize,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, open_at_end } = self;
        write!(f, "{opened} beside the load, {open_at_end} of them open at its end")
    }
}

/// Open connections without a request.
pub(super) struct IdleConnections(Vec<TcpStream>);

impl IdleConnections {
    /// Opens connections to the server, each of which is answered once: only then is it one that the server keeps alive.
    pub(super) fn open(url: &str, uri: &Uri, count: NonZeroUsize) -> Result<Self, Error> {
        let failed =
            |open, source| Error::Idle { url: url.to_owned(), open, connections: count.get(), source };
        allow_files(count.get() as u64 + OTHER_FILES).map_err(|source| failed(0, source))?;
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
        let address = (host, port).to_socket_addrs().map_err(|source| failed(0, source))?.next();
        let address = address.ok_or_else(|| failed(0, io::ErrorKind::AddrNotAvailable.into()))?;
        let request = format!("GET / HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n");
        let mut connections = Vec::with_capacity(count.get());
        for open in 0..count.get() {
            let answered = || {
                let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
                connection.set_read_timeout(Some(TIMEOUT))?;
                connection.write_all(request.as_bytes())?;
                // Whatever it answers, and however long that is, it is alive.
                match connection.read(&mut [0; 4096])? {
                    0 => Err(io::ErrorKind::ConnectionReset.into()),
                    _ => connection.set_nonblocking(true).map(|()| connection),
                }
            };
            connections.push(answered().map_err(|source| failed(open, source))?);
        }
        Ok(Self(connections))
    }

    /// Counts those that are still open.
    pub(super) fn count(&self) -> Idle {
        let is_open = |connection: &&TcpStream| {
            let (mut connection, mut rest) = (*connection, [0; 4096]);
            loop {
                match connection.read(&mut rest) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
                }
            }
        };
        Idle { opened: self.0.len(), open_at_end: self.0.iter().filter(is_open).count() }
    }
}

/// Raises the limit on open files to at least this many, as far as the system lets a process.
fn allow_files(files: u64) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < files {
        setrlimit(Resource::RLIMIT_NOFILE, files.min(hard), hard)?;
    }
    Ok(())
}
