//! HTTP/1.1 by hand over a socket: requests are exact bytes, broken ones too, and answers are read as they come.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::process::PATIENCE;

/// Writes a request's head up to the empty line, without a length.
pub fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// Writes a whole request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len().to_string();
    let mut request = head(method, path, &[headers, &[("Content-Length", &length)]].concat());
    request.extend_from_slice(body);
    request
}

pub fn get(path: &str) -> Vec<u8> {
    head("GET", path, &[])
}

/// Writes a request with a JSON body.
pub fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", path, &[("Content-Type", "application/json")], body)
}

/// Writes a chunk of a body; the empty one is the last.
pub fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// A connection on which nothing is sent or read that a test did not say.
pub struct Connection {
    stream: TcpStream,
    input: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { input: BufReader::new(stream.try_clone()?), stream })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends no more; the answer can still be read.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Returns a second handle, which sends while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can have two handles")
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &[u8]) -> Response {
        self.send(request).expect("the server reads the request");
        self.receive().expect("the answer is whole").expect("there is an answer")
    }

    /// Reads an answer; `None` where the connection ends before its first byte.
    ///
    /// # Errors
    /// When it ends inside the answer.
    pub fn receive(&mut self) -> io::Result<Option<Response>> {
        let Some(head) = self.head()? else { return Ok(None) };
        let mut body = Vec::new();
        self.body(&head).read_to_end(&mut body)?;
        Ok(Some(Response { head, body }))
    }

    /// Reads an answer's head; `None` where the connection ends before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        match self.input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
            Ok([]) => return Ok(None),
            Ok(_) => {}
        }
        let status = line(&mut self.input)?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = line(&mut self.input)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Some(Head { status: status.ok_or(ErrorKind::InvalidData)?, headers }))
    }

    /// Reads an answer's body as it comes.
    pub fn body(&mut self, head: &Head) -> BufReader<Body<'_>> {
        let chunked = head.header("transfer-encoding") == Some("chunked");
        let left = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        BufReader::new(Body { input: &mut self.input, chunked, left })
    }
}

/// Reads a line that must have its end.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    Ok(line.to_owned())
}

/// The body of an answer. Its end by a closed connection is an error.
pub struct Body<'a> {
    input: &'a mut BufReader<TcpStream>,
    /// Whether another chunk follows what is left of this one.
    chunked: bool,
    left: u64,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked {
            let size = line(self.input)?;
            self.left = u64::from_str_radix(&size, 16).map_err(|_| ErrorKind::InvalidData)?;
            if self.left == 0 {
                self.chunked = false;
                line(self.input)?;
            }
        }
        let bytes = self.input.by_ref().take(self.left).read(buffer)?;
        if bytes == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= bytes as u64;
        if self.left == 0 && self.chunked && bytes > 0 {
            line(self.input)?;
        }
        Ok(bytes)
    }
}

/// An answer's status and headers.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns whether another request can follow on the connection.
    pub fn keeps_connection(&self) -> bool {
        self.head.header("connection") != Some("close")
    }
}
