//! The shared tier goes away and comes back under load: two replicas, one Redis.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ml_core::{LookupCache, LookupError, Source, TierOptions};
use ml_sources::{Redis, RedisOptions, RedisTier};

use crate::Error;

use super::remote::{Remote, rest};
use super::scoring::with_lookups;
use super::{Figure, LookupsOptions, Row};

const REPLICAS: usize = 2;
const CLIENTS: usize = 2;
const KEYS: usize = 3000;

/// Long enough for a load to be under way, and short enough for several of them.
const PHASE: Duration = Duration::from_millis(1500);

pub(super) fn run(_: &LookupsOptions) -> Result<Row, Error> {
    let goal = "none fails, and no replica fetches a key twice within its time".to_owned();
    let Ok((mut server, port)) = start() else {
        let goal = format!("{goal} (needs redis-server: sudo apt-get install -y redis-server)");
        return Ok(Row { goal, reached: None, ..Row::default() });
    };
    let remote = Remote::new(Duration::from_millis(1), 1);
    let Ok(replicas) = (0..REPLICAS).map(|_| replica(&remote, port)).collect::<Result<Vec<_>, LookupError>>()
    else {
        return Ok(Row { goal, reached: None, ..Row::default() });
    };
    let (asked, failures) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let client = |replica: usize, client: usize| {
        for key in 0..KEYS {
            let item = (client * KEYS + key, format!("key {key}"));
            asked.fetch_add(1, Ordering::Relaxed);
            failures
                .fetch_add(usize::from(replicas[replica].predict_blocking(item).is_err()), Ordering::Relaxed);
            rest(Duration::from_millis(1));
        }
    };
    thread::scope(|scope| {
        for number in 0..REPLICAS * CLIENTS {
            scope.spawn(move || client(number % REPLICAS, number));
        }
        rest(PHASE);
        end(&mut server);
        rest(PHASE);
        if let Ok(restarted) = spawn(port) {
            server = restarted;
        }
    });
    end(&mut server);
    let (fetches, failed) = (remote.fetches(), failures.into_inner());
    let figures = vec![
        Figure::one("failed predictions", "", failed as f64),
        Figure::one("predictions", "", asked.into_inner() as f64),
        Figure::one("keys", "", KEYS as f64),
        Figure::one("fetches by 2 replicas", "", fetches as f64),
    ];
    let reached = failed == 0 && fetches <= (KEYS * REPLICAS) as u64;
    Ok(Row { goal, reached: Some(reached), figures, ..Row::default() })
}

fn replica(remote: &Remote, port: u16) -> Result<ml_core::Engine<super::scoring::Scoring>, LookupError> {
    let redis = Redis::open(&format!("redis://127.0.0.1:{port}"), RedisOptions::default())?;
    let cache = LookupCache::lru(KEYS).fresh_for(Duration::from_secs(3600));
    let tier = RedisTier::new(redis);
    Ok(with_lookups(Source::new(remote.clone()).cache(cache).tier(tier, TierOptions::new("bench:", 1))))
}

fn start() -> std::io::Result<(Child, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok((spawn(port)?, port))
}

fn spawn(port: u16) -> std::io::Result<Child> {
    let port = port.to_string();
    let arguments = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let mut server = Command::new("redis-server").args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = server.stdout.take().map(BufReader::new);
    let mut lines = output.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    lines.by_ref().find(|line| line.contains("Ready to accept connections"));
    // What it still has to say is read, so that it never waits for a reader.
    thread::spawn(move || lines.for_each(drop));
    Ok(server)
}

fn end(server: &mut Child) {
    drop(server.kill());
    drop(server.wait());
}
