//! A run: client threads, and in an open loop the pacer, started together and waited for.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::rt::Runtime;
use tokio::sync::mpsc::unbounded_channel;

use super::drive::{Plan, Share, drive};
use super::pacer::pace;
use super::{Arrivals, LoadOptions, Pace, Tally};
use crate::progress::Progress;
use crate::{Dataset, Error};

/// How often the progress line is renewed.
const TICK: Duration = Duration::from_millis(500);

/// Puts the load on the server and returns what came of it.
pub(super) fn run(options: &LoadOptions, data: Dataset) -> Result<Tally, Error> {
    let server = &options.server;
    let endpoint = if options.batch.get() == 1 { server.one()? } else { server.batch()? };
    let plan = Arc::new(Plan {
        data,
        endpoint,
        target: server.target.clone(),
        batch: options.batch.get(),
        window: options.window,
        start: Instant::now(),
        next: AtomicUsize::new(0),
        in_flight: AtomicUsize::new(0),
    });
    let (result, results) = mpsc::channel();
    let shares = shares(options, plan.start)?;
    let threads = shares.len();
    for share in shares {
        let (plan, result) = (Arc::clone(&plan), result.clone());
        // A receiver that went away has returned the error of another thread.
        spawn("client", move || drop(result.send(client_thread(&plan, share))))?;
    }
    drop(result);
    collect(&plan, threads, &results)
}

/// Returns each thread's share of the load, and starts the pacer of an open loop.
fn shares(options: &LoadOptions, start: Instant) -> Result<Vec<Share>, Error> {
    let threads = options.threads.get();
    match options.pace {
        Pace::Clients(clients) => {
            let clients = clients.get();
            let count = |thread| clients / threads + usize::from(thread < clients % threads);
            Ok((0..threads.min(clients)).map(|thread| Share::Clients(count(thread))).collect())
        }
        Pace::Rate { per_second, seed, max_in_flight } => {
            let (senders, shares) = (0..threads)
                .map(|_| unbounded_channel())
                .map(|(sender, due)| (sender, Share::Arrivals { due, max_in_flight }))
                .unzip::<_, _, Vec<_>, Vec<_>>();
            let end = options.window.end();
            let arrivals = Arrivals::new(per_second, seed).take_while(move |due| *due < end);
            spawn("pacer", move || pace(start, arrivals, &senders))?;
            Ok(shares)
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(Error::Thread)?;
    Ok(())
}

fn client_thread(plan: &Plan, share: Share) -> Result<Tally, Error> {
    Runtime::new().map_err(Error::Thread)?.block_on(drive(plan, share))
}

/// Waits for the tallies of all threads and adds them up.
fn collect(plan: &Plan, threads: usize, results: &Receiver<Result<Tally, Error>>) -> Result<Tally, Error> {
    let progress = Progress::new();
    let end = plan.window.end().as_secs_f64();
    let mut total = Tally::new(plan.window)?;
    let mut lost = threads;
    loop {
        match results.recv_timeout(TICK) {
            Ok(tally) => {
                total.merge(tally?);
                lost -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                progress.show(&format!("{:.0} / {end:.0} s", plan.start.elapsed().as_secs_f64().min(end)));
            }
            Err(RecvTimeoutError::Disconnected) if lost > 0 => return Err(Error::Lost { lost, threads }),
            Err(RecvTimeoutError::Disconnected) => return Ok(total),
        }
    }
}
