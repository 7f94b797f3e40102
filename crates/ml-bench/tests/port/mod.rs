//! A port that was free a moment ago, for servers that are told where to listen.

use std::net::TcpListener;

pub fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
