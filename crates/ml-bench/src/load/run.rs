//! A run: client threads, and in an open loop the pacer, started together and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt::Runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::class::wait_for_turn;
use super::drive::{Plan, Share, drive};
use super::idle::{Idle, IdleConnections};
use super::pacer::pace;
use super::pick::Picker;
use super::{LoadOptions, Pace, Tally};
use crate::memory::MemoryLog;
use crate::progress::Progress;
use crate::{Dataset, Error};

/// How often the progress bar is renewed and the server's memory is read.
const TICK: Duration = Duration::from_millis(250);

/// What came of a run.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// How many requests the schedule of an open loop has in the counted time.
    pub(super) scheduled: Option<u64>,
    /// What became of the idle connections.
    pub(super) idle: Option<Idle>,
    /// The memory of the server.
    pub(super) memory: Option<MemoryLog>,
}

/// Puts the load on the server and returns what came of it.
pub(super) fn run(options: &LoadOptions, data: Dataset) -> Result<Outcome, Error> {
    let server = &options.server;
    let endpoint = if options.batch.get() == 1 { server.one()? } else { server.batch()? };
    let memory = options.pid.map(MemoryLog::start).transpose()?;
    let open = |count| IdleConnections::open(&server.url, &endpoint.uri, count);
    let idle = options.idle.map(open).transpose()?;
    let schedule = schedule(options);
    let counted = |due: &&Duration| options.window.counts(**due);
    let scheduled = schedule.as_ref().map(|schedule| schedule.iter().filter(counted).count() as u64);
    let plan = Arc::new(Plan {
        data,
        endpoint,
        target: server.target.clone(),
        batch: options.batch.get(),
        window: options.window,
        goal: options.goal,
        start: Instant::now(),
        next: AtomicUsize::new(0),
        picker: Picker::new(options.duplicates, options.seed),
        in_flight: AtomicUsize::new(0),
        answered: AtomicU64::new(0),
    });
    let (result, results) = mpsc::channel();
    let shares = shares(options, plan.start, schedule)?;
    let threads = shares.len();
    for share in shares {
        let (plan, result) = (Arc::clone(&plan), result.clone());
        // A receiver that went away has returned the error of another thread.
        spawn("client", move || drop(result.send(client_thread(plan, share))))?;
    }
    drop(result);
    let (tally, memory) = collect(&plan, threads, &results, memory)?;
    Ok(Outcome { tally, scheduled, idle: idle.map(|idle| idle.count()), memory })
}

/// Decides all arrivals of an open loop.
fn schedule(options: &LoadOptions) -> Option<Vec<Duration>> {
    match options.pace {
        Pace::Clients(_) => None,
        Pace::Rate { per_second, arrivals, .. } => Some(arrivals.until(options.window.end(), per_second)),
    }
}

/// Returns each thread's share of the load, and starts the pacer of an open loop.
fn shares(
    options: &LoadOptions,
    start: Instant,
    schedule: Option<Vec<Duration>>,
) -> Result<Vec<Share>, Error> {
    let threads = options.threads.get();
    match options.pace {
        Pace::Clients(clients) => {
            let clients = clients.get();
            let count = |thread| clients / threads + usize::from(thread < clients % threads);
            Ok((0..threads.min(clients)).map(|thread| Share::Clients(count(thread))).collect())
        }
        Pace::Rate { max_in_flight, .. } => {
            let (senders, shares) = (0..threads)
                .map(|_| unbounded_channel())
                .map(|(sender, due)| (sender, Share::Arrivals { due, max_in_flight }))
                .unzip::<_, _, Vec<_>, Vec<_>>();
            let schedule = schedule.unwrap_or_default();
            spawn("pacer", move || pace(start, &schedule, &senders))?;
            Ok(shares)
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(Error::Thread)?;
    Ok(())
}

fn client_thread(plan: Arc<Plan>, share: Share) -> Result<Tally, Error> {
    // An open loop counts from when a request is due, so that its threads must not come late.
    if matches!(share, Share::Clients(_)) {
        wait_for_turn();
    }
    Runtime::new().map_err(Error::Thread)?.block_on(drive(plan, share))
}

/// Waits for the tallies of all threads and adds them up.
fn collect(
    plan: &Plan,
    threads: usize,
    results: &Receiver<Result<Tally, Error>>,
    mut memory: Option<MemoryLog>,
) -> Result<(Tally, Option<MemoryLog>), Error> {
    let progress = Progress::new();
    let mut total = Tally::new(plan.window, plan.goal)?;
    let mut lost = threads;
    loop {
        let result = results.recv_timeout(TICK);
        if let Some(memory) = &mut memory {
            memory.sample();
        }
        match result {
            Ok(tally) => {
                total.merge(tally?);
                lost -= 1;
            }
            Err(RecvTimeoutError::Timeout) => show(plan, &progress),
            Err(RecvTimeoutError::Disconnected) if lost > 0 => return Err(Error::Lost { lost, threads }),
            Err(RecvTimeoutError::Disconnected) => return Ok((total, memory)),
        }
    }
}

fn show(plan: &Plan, progress: &Progress) {
    let (done, end) = (plan.start.elapsed().as_secs_f64(), plan.window.end().as_secs_f64());
    let answered = plan.answered.load(Ordering::Relaxed);
    progress.bar(done / end, &format!("{:.0} / {end:.0} s, {answered} answered", done.min(end)));
}
