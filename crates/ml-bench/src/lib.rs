//! Measures any model server over HTTP: how fast it answers, and whether its answers are right.
//!
//! Each measurement is a function from its options to a report that prints as a table or as JSON:
//!
//! - [`evaluate`](eval::evaluate) sends every item of a file and compares the answers with the truth
//!   and with those of a reference implementation;
//! - [`load`](load::load) puts a server under load, closed loop (a fixed number of clients) or open loop
//!   (a fixed arrival rate), and reports throughput and latency; [`sweep`](load::sweep) does so at several loads;
//! - [`limit`](limit::limit) runs the model in a bare loop, without a server: the ceiling;
//! - [`compare`](compare::compare) measures several servers in interleaved rounds, and gives paired ratios;
//! - [`lookups`](lookups::lookups) measures what external lookups cost, and what an outage of theirs does;
//! - [`tune`](tune::tune) finds the settings that suit a machine and a latency goal;
//! - [`variants`](variants::variants) makes cheaper variants of a model, and measures what each of them costs and loses.
//!
//! They meet a server through a [`Server`], whose [`Target`] says how its requests and answers look, so
//! that ours and a rival's are measured by the same rule.

pub mod cli;
mod client;
pub mod compare;
mod data;
pub mod echo;
mod error;
pub mod eval;
mod failure;
mod grid;
mod html;
pub mod limit;
pub mod load;
pub mod lookups;
mod memory;
mod plot;
mod process;
mod progress;
mod random;
mod server;
pub mod stats;
mod table;
mod target;
mod template;
pub mod tune;
pub mod variants;

pub use data::{Dataset, Line, Place};
pub use error::Error;
pub use failure::{Failure, FailureKind, Failures};
pub use memory::Memory;
pub use process::Start;
pub use server::{Endpoint, Server};
pub use target::Target;
pub use template::Template;
