//! Facts of an HTTP service: one request a key, or one for many.

mod client;
mod each;
mod many;
mod url;

pub use self::each::HttpFacts;
pub use self::many::HttpManyFacts;

/// How to talk to an HTTP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpOptions {
    /// The largest answer that is read, in bytes.
    pub body_bytes_max: usize,
    /// Connections that are kept open while nothing is asked: as many as the source's `concurrency`, which is also how
    /// many there are at most.
    pub idle_connections_max: usize,
}

impl Default for HttpOptions {
    /// 1 MiB, 64 idle connections.
    fn default() -> Self {
        Self { body_bytes_max: 1 << 20, idle_connections_max: 64 }
    }
}
