//! The server under test: its address, the model to ask, and how to ask it.

use std::time::Duration;

use http::Uri;
use http::header::HeaderMap;

use crate::template::{Items, Template};
use crate::{Error, Target};

/// The server under test.
#[derive(Debug, Clone)]
pub struct Server {
    /// The address, `http://host:port`.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// How requests and answers look.
    pub target: Target,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// One address of the server and the requests that go there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where requests go.
    pub uri: Uri,
    /// Their headers.
    pub headers: HeaderMap,
    /// Their bodies.
    pub body: Template,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Server {
    /// Returns the endpoint that answers one item.
    ///
    /// # Errors
    ///
    /// When the address or the target description cannot be used.
    pub fn one(&self) -> Result<Endpoint, Error> {
        let body = Template::new(&self.target.body_one, Items::One)?;
        self.endpoint(&self.target.path_one, body)
    }

    /// Returns the endpoint that answers a batch.
    ///
    /// # Errors
    ///
    /// When the address or the target description cannot be used.
    pub fn batch(&self) -> Result<Endpoint, Error> {
        let body = Template::new(&self.target.body_batch, Items::Batch)?;
        self.endpoint(&self.target.path_batch, body)
    }

    fn endpoint(&self, path: &str, body: Template) -> Result<Endpoint, Error> {
        let base = self.url.trim_end_matches('/');
        let broken = |reason: String| Error::Url { url: self.url.clone(), reason };
        let uri: Uri = format!("{base}{}", path.replace("$model", &self.model))
            .parse()
            .map_err(|error: http::uri::InvalidUri| broken(error.to_string()))?;
        // No TLS: a benchmark of a model should not measure a cipher, and the client stays small.
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(broken("must be http://host:port".to_owned()));
        }
        Ok(Endpoint { uri, headers: self.target.header_map()?, body, timeout: self.timeout })
    }
}
