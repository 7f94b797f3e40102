//! Waits until a server that was started answers.

use std::future::Future;
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use actix_web::web::Bytes;
use http::uri::InvalidUri;

use super::Running;
use crate::client::Client;
use crate::{Dataset, Error, Server};

/// How long a server may take to load its model. A cold start of a Python server with a large model takes minutes.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// How long one answer to whether it is ready may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it is asked: also how far a start time may be off.
const TICK: Duration = Duration::from_millis(20);

/// Waits until `GET url` is answered with 2xx.
pub(crate) async fn wait_ready(running: &mut Running, url: &str) -> Result<(), Error> {
    let broken = |error: InvalidUri| Error::Url { url: url.to_owned(), reason: error.to_string() };
    let client = Client::getting(&url.parse().map_err(broken)?, ANSWER_TIMEOUT);
    until(running, &format!("answered no 2xx at {url}"), || async {
        client.send(Bytes::new(), &mut client.alarm()).await.is_ok()
    })
    .await
}

/// Waits until the first item is answered, and returns how long that took from the start of the process.
pub(crate) async fn first_answer(
    running: &mut Running,
    server: &Server,
    data: &Dataset,
) -> Result<Duration, Error> {
    let endpoint = server.one()?;
    let client = Client::new(&endpoint);
    until(running, &format!("answered no item at {}", endpoint.uri), || async {
        client.send(endpoint.body.fill(data.round_robin(0, 1)), &mut client.alarm()).await.is_ok()
    })
    .await?;
    Ok(running.since.elapsed())
}

async fn until<F: Future<Output = bool>>(
    running: &mut Running,
    otherwise: &str,
    done: impl Fn() -> F,
) -> Result<(), Error> {
    let asked = Instant::now();
    while !done().await {
        running.check()?;
        if asked.elapsed() > START_TIMEOUT {
            return Err(running.failed(&format!("{otherwise} in {} s", START_TIMEOUT.as_secs())));
        }
        sleep(TICK).await;
    }
    Ok(())
}
