//! The ladder: twice the clients again and again, for as long as the goal is met.

use std::net::{Ipv4Addr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::rt::Runtime;
use serde::Serialize;

use super::{Candidate, TuneOptions};
use crate::load::{LoadOptions, LoadReport, Pace, Window, load};
use crate::process::{Running, wait_ready};
use crate::{Error, Server, Start};

/// What a candidate reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// The settings.
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Clients of the closed loop at its best.
    pub clients: usize,
    /// The most items per second within the goal; where no load was, those of the lightest.
    pub items_per_s: f64,
    /// The 99th percentile of latency then.
    pub p99_ms: f64,
    /// Whether that is within the goal, and nothing was refused.
    pub within_goal: bool,
    /// The counted time of the run.
    pub seconds: f64,
}

/// Starts a server with these settings and puts more and more clients on it.
pub(super) fn climb(
    options: &TuneOptions,
    candidate: Candidate,
    from: NonZeroUsize,
    duration: Duration,
) -> Result<Measured, Error> {
    let (_running, server) = start(options, candidate)?;
    let mut best: Option<Measured> = None;
    for clients in rungs(from, options.clients_max) {
        let report = load(&run_options(options, &server, clients, duration))?;
        let found = judge(&report, candidate, clients, options.goal, duration);
        if best.is_some() && !found.within_goal {
            break;
        }
        let lost = !found.within_goal;
        best = best.filter(|best| best.items_per_s >= found.items_per_s).or(Some(found));
        if lost {
            break;
        }
    }
    // There is at least one rung; a candidate without any would come last.
    Ok(best.unwrap_or(Measured {
        candidate,
        clients: 0,
        items_per_s: 0.0,
        p99_ms: f64::INFINITY,
        within_goal: false,
        seconds: 0.0,
    }))
}

/// Returns the numbers of clients to try: the first, and twice as many again and again.
fn rungs(from: NonZeroUsize, max: NonZeroUsize) -> impl Iterator<Item = NonZeroUsize> {
    let next = |clients: &NonZeroUsize| clients.checked_mul(NonZeroUsize::MIN.saturating_add(1));
    std::iter::successors(Some(from.min(max)), next).take_while(move |clients| *clients <= max)
}

fn judge(
    report: &LoadReport,
    candidate: Candidate,
    clients: NonZeroUsize,
    goal: Duration,
    duration: Duration,
) -> Measured {
    let p99_ms = report.latency_ms.map_or(f64::INFINITY, |latency| latency.p99);
    Measured {
        candidate,
        clients: clients.get(),
        items_per_s: report.items_per_s.mean,
        p99_ms,
        within_goal: p99_ms <= goal.as_secs_f64() * 1000.0 && report.errors.total() == 0,
        seconds: duration.as_secs_f64(),
    }
}

fn start(options: &TuneOptions, candidate: Candidate) -> Result<(Running, Server), Error> {
    let port = free_port()?;
    let url = format!("http://127.0.0.1:{port}");
    // The shell reads quotes and variables as a person expects, and steps aside, so that its id is the server's.
    let argv = vec!["sh".to_owned(), "-c".to_owned(), format!("exec {}", options.serve)];
    let start = Start { argv, directory: PathBuf::new(), env: candidate.env(port) };
    let mut running = Running::start("tuned server", &start)?;
    let ready = format!("{url}{}", options.ready);
    Runtime::new().map_err(Error::Thread)?.block_on(wait_ready(&mut running, &ready))?;
    let (model, target) = (options.model.clone(), options.target.clone());
    // A run must end soon after its time even where the server answers nothing.
    let timeout = options.goal.saturating_mul(10).max(Duration::from_secs(10));
    Ok((running, Server { url, model, target, timeout }))
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(listener.map_err(|source| Error::Listen { port: 0, source })?.port())
}

fn run_options(
    options: &TuneOptions,
    server: &Server,
    clients: NonZeroUsize,
    duration: Duration,
) -> LoadOptions {
    LoadOptions {
        server: server.clone(),
        data: options.data.clone(),
        pace: Pace::Clients(clients),
        batch: options.batch,
        window: Window { warm_up: duration / 2, duration },
        threads: NonZeroUsize::MIN,
        goal: None,
        duplicates: 0.0,
        seed: 1,
        idle: None,
        pid: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_double_up_to_the_most() {
        let clients = |from, max| {
            let count = |count| NonZeroUsize::new(count).unwrap();
            rungs(count(from), count(max)).map(NonZeroUsize::get).collect::<Vec<_>>()
        };
        assert_eq!(clients(1, 10), [1, 2, 4, 8]);
        assert_eq!(clients(4, 16), [4, 8, 16]);
        assert_eq!(clients(9, 4), [4]);
    }
}
