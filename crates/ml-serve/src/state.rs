//! What all requests share: the models, the limits, the numbers, and whether the server is draining.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::Config;
use crate::metrics::HttpMetrics;
use crate::oip::regions::Regions;
use crate::oip::settings::trace::Traces;
use crate::registry::Registry;
use crate::repository::Repository;
use crate::served::{ModelInfo, Served};

/// A version of a model, and what it says about itself.
pub(crate) struct Model {
    pub name: String,
    pub version: u64,
    pub served: Arc<dyn Served>,
    pub info: Arc<ModelInfo>,
    /// Whether it was replaced or unloaded, and so ends while requests go on.
    retired: AtomicBool,
    /// Dropped after `served`, whose end waits for that.
    dropped: Option<Sender<()>>,
}

impl Model {
    pub fn new(name: &str, version: u64, served: Arc<dyn Served>, info: ModelInfo) -> Self {
        let (name, info) = (name.to_owned(), Arc::new(info));
        Self { name, version, served, info, retired: AtomicBool::new(false), dropped: None }
    }

    /// Lets the model end on a thread of its own, when the last request that holds it is answered.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

impl Drop for Model {
    /// To end a model waits for its threads, and no request should.
    fn drop(&mut self) {
        if !self.retired.load(Ordering::Acquire) {
            return;
        }
        let (served, (dropped, end)) = (Arc::clone(&self.served), channel());
        self.dropped = Some(dropped);
        let ended = thread::Builder::new().name("retire".to_owned()).spawn(move || {
            // Says so by its error: from then on this is the last that holds the model.
            end.recv().ok();
            drop(served);
        });
        if let Err(error) = ended {
            tracing::warn!(%error, model = self.name, "no thread to end a model that was replaced: it ends here");
        }
    }
}

/// A model that is held while a request goes on.
///
/// Requests count themselves on an `Arc` of their thread's, which holds the model: see [`State`].
#[derive(Clone)]
#[allow(
    clippy::redundant_allocation,
    reason = "the inner one counts threads, the outer one a thread's requests"
)]
pub(crate) struct Held(Arc<Arc<Model>>);

impl Held {
    pub fn new(model: &Arc<Model>) -> Self {
        Self(Arc::new(Arc::clone(model)))
    }
}

impl Deref for Held {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}

/// The limits that a request meets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub body_bytes_max: usize,
    pub item_bytes_max: usize,
    pub call_items_max: usize,
    pub shared_memory_bytes_max: usize,
    pub remote_settings: bool,
    pub concurrent_requests_max: usize,
    pub request_timeout: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            body_bytes_max: config.body_bytes_max,
            item_bytes_max: config.item_bytes_max,
            call_items_max: config.call_items_max,
            shared_memory_bytes_max: config.shared_memory_bytes_max,
            remote_settings: config.remote_settings,
            concurrent_requests_max: config.concurrent_requests_max,
            request_timeout: config.request_timeout,
        }
    }
}

/// What all requests share. Each thread that answers them has a handle of its own behind its own `Arc` or `Data`: threads that
/// count the users of one and the same `Arc` take turns at its cache line, several times a request.
#[derive(Clone)]
pub(crate) struct State(Arc<Shared>);

impl Deref for State {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub(crate) struct Shared {
    pub models: Registry,
    pub repository: Option<Repository>,
    pub limits: Limits,
    /// What the server calls itself.
    pub name: String,
    pub metrics: HttpMetrics,
    /// When the server was started, in seconds since 1970.
    pub started_s: u64,
    /// Memory that callers share.
    pub regions: Regions,
    /// Which requests are traced.
    pub traces: Traces,
    draining: AtomicBool,
    told: Notify,
}

impl State {
    pub fn new(
        models: Registry,
        repository: Option<Repository>,
        config: &Config,
        metrics: HttpMetrics,
    ) -> Self {
        let (draining, told) = (AtomicBool::new(false), Notify::new());
        let started_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (limits, name) = (Limits::from(config), config.server_name.clone());
        let (regions, traces) = (Regions::new(limits.shared_memory_bytes_max), Traces::default());
        Self(Arc::new(Shared {
            models,
            repository,
            limits,
            name,
            metrics,
            started_s,
            regions,
            traces,
            draining,
            told,
        }))
    }
}

impl Shared {
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
