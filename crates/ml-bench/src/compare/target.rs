//! A target as it takes part: a server that is started when its turn needs it, or a model that is loaded once.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::rt::Runtime;
use ml_core::{Model, RuntimeChoice};

use super::file::{Described, LimitTarget, Plan, PlanTarget};
use crate::limit::{Case, Pass, Width, Workload};
use crate::process::{Running, first_answer, wait_ready};
use crate::{Dataset, Error, Server, Start, Target};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A target as it takes part.
pub(super) enum Contender {
    Server(Box<Hosted>),
    Raw { model: Model, pass: Pass, batch: NonZeroUsize },
}

/// A server, and how it is started.
pub(super) struct Hosted {
    pub(super) server: Server,
    pub(super) data: PathBuf,
    name: String,
    start: Option<Start>,
    ready: Option<String>,
    keep: bool,
    running: Option<Running>,
    /// The time from the last start to the first answer.
    pub(super) first_answer_s: Option<f64>,
}

impl Contender {
    pub(super) fn new(plan: &Plan, target: &PlanTarget) -> Result<Self, Error> {
        // The plan was checked: there is a file of data, and a model's name for a server.
        let data = target.data.clone().or_else(|| plan.data.clone()).unwrap_or_default();
        match &target.limit {
            Some(limit) => raw(limit, data),
            None => Ok(Self::Server(Box::new(Hosted::new(plan, target, data)?))),
        }
    }

    /// Starts a server that is kept running.
    pub(super) fn begin_all(&mut self) -> Result<(), Error> {
        match self {
            Self::Server(hosted) if hosted.keep => hosted.begin(),
            Self::Server(_) | Self::Raw { .. } => Ok(()),
        }
    }
}

fn raw(limit: &LimitTarget, data: PathBuf) -> Result<Contender, Error> {
    let workload = Workload {
        model: limit.model.clone(),
        runtime: RuntimeChoice::Auto,
        data,
        tokenizer: limit.tokenizer.clone(),
        field: limit.field.clone(),
        items: limit.items,
        optimised_copy: limit.optimised_copy,
    };
    let width = Width { sessions: limit.sessions, threads: limit.threads };
    let model = workload.load(width)?;
    let items = workload.items(&model)?;
    let pass = Pass::new(&model, &items, Case { width, batch: limit.batch, order: limit.order })?;
    Ok(Contender::Raw { model, pass, batch: limit.batch })
}

impl Hosted {
    fn new(plan: &Plan, target: &PlanTarget, data: PathBuf) -> Result<Self, Error> {
        let description = match &target.target {
            Some(Described::File(path)) => Target::read(path)?,
            Some(Described::Here(target)) => (**target).clone(),
            None => Target::default(),
        };
        let server = Server {
            url: target.url.clone().unwrap_or_default(),
            model: target.model.clone().or_else(|| plan.model.clone()).unwrap_or_default(),
            target: description,
            timeout: TIMEOUT,
        };
        Ok(Self {
            server,
            data,
            name: target.name.clone(),
            start: target.start.clone(),
            ready: target.ready.clone(),
            keep: target.keep,
            running: None,
            first_answer_s: None,
        })
    }

    /// Starts the server, unless it runs, and waits for its first answer.
    pub(super) fn begin(&mut self) -> Result<(), Error> {
        let (Some(start), None) = (&self.start, &self.running) else { return Ok(()) };
        let data = Dataset::read(std::slice::from_ref(&self.data), Some(1))?;
        let mut running = Running::start(&self.name, start)?;
        let ready =
            self.ready.as_ref().map(|path| format!("{}{path}", self.server.url.trim_end_matches('/')));
        let answered = Runtime::new().map_err(Error::Thread)?.block_on(async {
            if let Some(url) = ready {
                wait_ready(&mut running, &url).await?;
            }
            first_answer(&mut running, &self.server, &data).await
        })?;
        self.first_answer_s = Some(answered.as_secs_f64());
        self.running = Some(running);
        Ok(())
    }

    /// Stops the server, unless it is kept.
    pub(super) fn end(&mut self) {
        if !self.keep {
            self.running = None;
        }
    }

    /// Fails when the server has ended by itself, and returns its process.
    pub(super) fn pid(&mut self) -> Result<Option<u32>, Error> {
        let Some(running) = &mut self.running else { return Ok(None) };
        running.check()?;
        // Where there is no `/proc`, there is no memory to be read.
        Ok(Some(running.pid()).filter(|_| cfg!(target_os = "linux")))
    }
}
