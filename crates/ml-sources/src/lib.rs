#![doc = include_str!("../README.md")]

mod http;
mod redis;

pub use self::http::{HttpFacts, HttpOptions};
pub use self::redis::{Redis, RedisFacts, RedisOptions, RedisTier};
