//! A server that speaks just enough of Redis's protocol to break it in the middle of an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `MGET` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One value, however many keys were asked for.
    Partial,
    /// The beginning of a value; then the connection ends.
    CutMidAnswer,
    /// Something that is no answer.
    Garbage,
    /// Nothing, for ever.
    Silence,
}

pub struct BrokenRedis {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl BrokenRedis {
    pub fn start(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                std::thread::spawn(move || drop(serve(stream, fault, &counter)));
            }
        });
        Self { address, asked }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How often it was asked for values.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, fault: Fault, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    while let Some(command) = read_command(&mut input)? {
        if command.first().is_none_or(|name| name != b"MGET") {
            output.write_all(b"+OK\r\n")?;
            continue;
        }
        asked.fetch_add(1, Ordering::SeqCst);
        match fault {
            Fault::Partial => output.write_all(b"*1\r\n$-1\r\n")?,
            Fault::CutMidAnswer => {
                output.write_all(b"*2\r\n$1000\r\nhalf a val")?;
                return Ok(());
            }
            Fault::Garbage => output.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?,
            Fault::Silence => {}
        }
    }
    Ok(())
}

/// Reads an array of bulk strings, as clients send commands.
fn read_command(input: &mut impl BufRead) -> std::io::Result<Option<Vec<Vec<u8>>>> {
    let Some(count) = read_number(input)? else { return Ok(None) };
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(bytes) = read_number(input)? else { return Ok(None) };
        let mut word = vec![0; bytes + 2];
        input.read_exact(&mut word)?;
        word.truncate(bytes);
        words.push(word);
    }
    Ok(Some(words))
}

/// Reads the number of a line such as `*3` or `$12`; `None` where the connection has ended.
fn read_number(input: &mut impl BufRead) -> std::io::Result<Option<usize>> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.get(1..).and_then(|number| number.trim().parse().ok()))
}
