//! What all requests share: the models, the limits, the numbers, and whether the server is draining.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::metrics::HttpMetrics;
use crate::served::{ModelInfo, Served};
use crate::{ApiError, Config};

/// A model and what it says about itself.
#[derive(Clone)]
pub(crate) struct Model {
    pub served: Arc<dyn Served>,
    pub info: Arc<ModelInfo>,
}

/// The limits that a request meets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes_max: usize,
    pub item_bytes_max: usize,
    pub call_items_max: usize,
    pub concurrent_requests_max: usize,
    pub request_timeout: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            body_bytes_max: config.body_bytes_max,
            item_bytes_max: config.item_bytes_max,
            call_items_max: config.call_items_max,
            concurrent_requests_max: config.concurrent_requests_max,
            request_timeout: config.request_timeout,
        }
    }
}

pub(crate) struct State {
    pub models: BTreeMap<String, Model>,
    pub limits: Limits,
    pub metrics: HttpMetrics,
    draining: AtomicBool,
    told: Notify,
}

impl State {
    pub fn new(models: BTreeMap<String, Model>, limits: Limits, metrics: HttpMetrics) -> Self {
        Self { models, limits, metrics, draining: AtomicBool::new(false), told: Notify::new() }
    }

    pub fn model(&self, name: &str) -> Result<&Model, ApiError> {
        self.models.get(name).ok_or_else(|| ApiError::UnknownModel {
            name: name.to_owned(),
            known: self.models.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// From now on the server is not ready, and asks its callers to go elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Returns when the server drains.
    pub async fn drained(&self) {
        let told = self.told.notified();
        if !self.is_draining() {
            told.await;
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
