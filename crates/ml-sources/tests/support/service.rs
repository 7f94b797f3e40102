//! An HTTP service whose answers are the test's, byte by byte, and which remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Debug, Default)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: String,
}

/// Starts one that takes one request a connection; what is `None` is never answered.
pub fn service(
    answer: impl Fn(&Asked) -> Option<String> + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all_asked = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let Some(asked) = read(&stream) else { continue };
            let answer = answer(&asked);
            all_asked.lock().expect("no panic").push(asked);
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => silent.push(stream),
            }
        }
    });
    (address, heard)
}

/// Returns a whole answer with this body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Reads a request; `None` where the connection ended before that.
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Asked { method: words.next()?, path: words.next()?, body: String::new() };
    let mut bytes = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                bytes = value.trim().parse().ok()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    input.take(bytes).read_to_string(&mut asked.body).ok()?;
    Some(asked)
}
