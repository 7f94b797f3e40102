//! A thread with an HTTP client: awc's futures stay on their thread, a lookup's need not.

use std::io;
use std::thread;
use std::time::Duration;

use awc::http::StatusCode;
use awc::http::header::CONTENT_LENGTH;
use ml_core::LookupError;
use tokio::sync::{mpsc, oneshot};

use super::HttpOptions;

/// The body of an answer, or `None` where there is nothing of this name.
type Body = Result<Option<Vec<u8>>, LookupError>;

struct Job {
    url: String,
    reply: oneshot::Sender<Body>,
}

/// Sends requests; the thread ends with it.
pub(super) struct Client {
    // How many wait is bounded by who asks: a source's concurrency.
    jobs: mpsc::UnboundedSender<Job>,
}

impl Client {
    pub fn start(options: HttpOptions) -> io::Result<Self> {
        let (jobs, receiver) = mpsc::unbounded_channel();
        thread::Builder::new()
            .name("lookup-http".to_owned())
            .spawn(move || actix_rt::System::new().block_on(serve(receiver, options)))?;
        Ok(Self { jobs })
    }

    /// Gets the body of a URL. Dropped meanwhile, the request ends.
    pub async fn get(&self, url: String) -> Body {
        let (reply, answer) = oneshot::channel();
        let ended = |_| LookupError::new("the thread of the HTTP client has ended");
        self.jobs.send(Job { url, reply }).map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))?
    }
}

async fn serve(mut jobs: mpsc::UnboundedReceiver<Job>, options: HttpOptions) {
    // How long a request may take is the lookup's budget: when that is over, the request is dropped.
    let connector = awc::Connector::new().limit(options.connections_max.max(1)).timeout(FOREVER);
    let client = awc::Client::builder().connector(connector).disable_timeout().finish();
    while let Some(Job { url, mut reply }) = jobs.recv().await {
        let client = client.clone();
        actix_rt::spawn(async move {
            tokio::select! {
                body = get(&client, &url, options.body_bytes_max) => drop(reply.send(body)),
                () = reply.closed() => {}
            }
        });
    }
}

async fn get(client: &awc::Client, url: &str, bytes_max: usize) -> Body {
    let mut response = client.get(url).send().await.map_err(LookupError::retryable)?;
    let status = response.status();
    match status {
        StatusCode::OK => {
            let length =
                response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            let body = response.body().limit(bytes_max).await.map_err(LookupError::retryable)?;
            // A connection that ends inside the body is no error to awc.
            if length.is_some_and(|length: usize| length != body.len()) {
                return Err(LookupError::retryable("the answer was cut short"));
            }
            Ok(Some(body.to_vec()))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(LookupError::retryable(status)),
        status if status.is_server_error() => Err(LookupError::retryable(status)),
        status => Err(LookupError::new(status)),
    }
}

const FOREVER: Duration = Duration::from_secs(24 * 3600);
