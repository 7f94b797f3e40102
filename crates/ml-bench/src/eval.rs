//! Evaluation: every item of a file is sent once, and the answers are held against the truth and against
//! those of a reference implementation.

mod agreement;
mod difference;
mod prediction;
mod report;
mod score;
mod verdict;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use actix_web::rt::Runtime;
use futures_util::StreamExt;
use serde_json::Value;

use crate::client::Client;
use crate::progress::Progress;
use crate::{Dataset, Endpoint, Error, Failure, Line, Server};

pub use agreement::{Agreement, Broken, Flip, Worst};
pub use difference::{Difference, compare};
pub use report::{Accuracy, EvalReport};
pub use verdict::{Limits, Verdict};

/// What to evaluate, and what to ask of it.
#[derive(Debug, Clone)]
pub struct EvalOptions {
    /// The server under test.
    pub server: Server,
    /// The data files, read one after the other.
    pub data: Vec<PathBuf>,
    /// At most this many items of them.
    pub limit: Option<usize>,
    /// Items in one call.
    pub batch: NonZeroUsize,
    /// Calls in flight.
    pub clients: NonZeroUsize,
    /// The field of an output that is the prediction.
    pub field: String,
    /// What the answers must hold to.
    pub limits: Limits,
}

/// Sends every item once, in batches in order, and judges the answers.
///
/// # Errors
///
/// When the data, the address or the target description cannot be used. A server that does not answer is
/// no error but a failed verdict.
pub fn evaluate(options: &EvalOptions) -> Result<EvalReport, Error> {
    let data = Dataset::read(&options.data, options.limit)?;
    let endpoint = options.server.batch()?;
    let runtime = Runtime::new().map_err(Error::Thread)?;
    Ok(runtime.block_on(send_all(options, &data, &endpoint)))
}

async fn send_all(options: &EvalOptions, data: &Dataset, endpoint: &Endpoint) -> EvalReport {
    let client = &Client::new(endpoint);
    let progress = Progress::new();
    let mut score = score::Score::new(&options.field, options.limits.tolerance);
    let started = Instant::now();
    let mut calls = futures_util::stream::iter(data.lines().chunks(options.batch.get()))
        .map(|lines| async move { (lines, send(options, client, endpoint, lines).await) })
        .buffered(options.clients.get());
    while let Some((lines, answers)) = calls.next().await {
        score.add_batch(lines, answers);
        let (done, all) = (score.items(), data.lines().len());
        progress.bar(done as f64 / all as f64, &format!("{done} / {all} items"));
    }
    report::EvalReport::new(options, score, started.elapsed())
}

/// Sends one batch and returns what was answered to each of its items. Nothing is sent twice: a server that
/// fails now and then must not pass.
async fn send(
    options: &EvalOptions,
    client: &Client,
    endpoint: &Endpoint,
    lines: &[Line],
) -> Result<Vec<Result<Value, Failure>>, Failure> {
    let body = client.send(endpoint.body.fill(lines.iter()), &mut client.alarm()).await?;
    options.server.target.read_answers(&body, lines.len())
}
