//! Measures any model server over HTTP: how fast it answers, and whether its answers are right.
//!
//! Two measurements, each a function from its options to a report that prints as a table or as JSON:
//!
//! - [`evaluate`](eval::evaluate) sends every item of a file and compares the answers with the truth
//!   and with those of a reference implementation;
//! - [`load`](load::load) puts a server under load, closed loop (a fixed number of clients) or open loop
//!   (a fixed arrival rate), and reports throughput and latency.
//!
//! Both meet a server through a [`Server`], whose [`Target`] says how its requests and answers look, so
//! that ours and a rival's are measured by the same rule.

pub mod cli;
mod client;
mod data;
mod error;
pub mod eval;
mod failure;
pub mod load;
mod progress;
mod server;
pub mod stats;
mod table;
mod target;
mod template;

pub use data::{Dataset, Line, Place};
pub use error::Error;
pub use failure::{Failure, FailureKind, Failures};
pub use server::{Endpoint, Server};
pub use target::Target;
pub use template::Template;
