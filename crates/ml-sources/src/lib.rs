#![doc = include_str!("../README.md")]

mod http;
mod redis;
#[cfg(feature = "tls")]
mod tls;

pub use self::http::{HttpFacts, HttpManyFacts, HttpOptions};
pub use self::redis::{Redis, RedisFacts, RedisOptions, RedisTier};

/// The examples of the page about lookups, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/lookups.md")]
struct Lookups;
