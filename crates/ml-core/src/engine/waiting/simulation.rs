//! The scheduler over simulated minutes: two runners, texts as long as reviews are, and no clock but the simulation's.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::engine::pace::Pace;

const RUNNERS: usize = 2;

/// What all-MiniLM-L6-v2 takes on one thread in packed batches, and what a request costs beside it.
const FIXED_MS: f64 = 1.9;
const TOKEN_MS: f64 = 0.197;
const REQUEST_MS: f64 = 0.6;

/// Equal runs differ by this much of their time, either way.
const NOISE: f64 = 0.08;

const MINUTE_MS: f64 = 60e3;

/// A text that arrives, in ms since the start.
#[derive(Debug, Clone, Copy)]
struct Text {
    arrival: f64,
    tokens: usize,
}

/// Sentences of reviews, as a gamma distribution: 25 tokens in the mean, one in ten above 40, one in a hundred above 57.
fn text(arrival: f64, random: &mut fastrand::Rng) -> Text {
    let sum: f64 = (0..5).map(|_| exponential(random)).sum();
    Text { arrival, tokens: (5.0 * sum).round().clamp(4.0, 200.0) as usize }
}

/// An exponentially distributed number of mean one.
fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// A server: its items are named by their arrival.
struct Simulation {
    start: Instant,
    random: fastrand::Rng,
    waiting: Waiting<f64>,
    pace: Pace,
    shape: Shape,
}

impl Simulation {
    fn new(seed: u64, items_max: usize) -> Self {
        Self {
            start: Instant::now(),
            random: fastrand::Rng::with_seed(seed),
            waiting: Waiting::new(),
            pace: Pace::default(),
            shape: Shape { items_max, packed: true, sizes: Vec::new() },
        }
    }

    /// Runs a batch from `now` on; returns when it ends and its items.
    fn run(&mut self, now: f64) -> (f64, Vec<f64>) {
        let line = self.pace.line_of_next_batch(self.waiting.backlog(RUNNERS));
        let at = self.start + Duration::from_secs_f64(now / 1e3);
        let batch = self.waiting.take(at, &self.shape, line, |_| false).batch;
        let cost: usize = batch.iter().map(|entry| entry.cost).sum();
        let quiet = FIXED_MS + TOKEN_MS * cost as f64 + REQUEST_MS * batch.len() as f64;
        let time = quiet * (1.0 + NOISE * (2.0 * self.random.f64() - 1.0));
        self.pace.observe(cost, Duration::from_secs_f64(time / 1e3));
        (now + time, batch.into_iter().map(|entry| entry.item).collect())
    }

    /// Returns the latency of each text, in ms. Where the loop is closed, each answer brings a next text at once.
    fn latencies(&mut self, mut arrivals: VecDeque<Text>, closed_until: Option<f64>) -> Vec<f64> {
        let mut runners: Vec<(f64, Vec<f64>)> = vec![(0.0, Vec::new()); RUNNERS];
        let mut latencies = Vec::new();
        loop {
            runners.sort_by(|one, other| {
                one.0.total_cmp(&other.0).then(one.1.is_empty().cmp(&other.1.is_empty()))
            });
            let (now, answered) = std::mem::take(&mut runners[0]);
            for arrival in answered {
                latencies.push(now - arrival);
                if closed_until.is_some_and(|end| now < end) {
                    arrivals.push_back(text(now, &mut self.random));
                }
            }
            while let Some(text) = arrivals.pop_front_if(|text| text.arrival <= now) {
                self.waiting.push(Priority::Interactive, Entry::new(text.arrival, text.tokens, None));
            }
            if self.waiting.len() > 0 {
                runners[0] = self.run(now);
                continue;
            }
            let others = runners[1..].iter().filter(|(_, batch)| !batch.is_empty()).map(|(end, _)| *end);
            match others.chain(arrivals.front().map(|text| text.arrival)).min_by(f64::total_cmp) {
                Some(later) => runners[0].0 = later,
                None => return latencies,
            }
        }
    }
}

/// Texts a second that 32 clients get.
fn capacity(items_max: usize) -> f64 {
    let mut simulation = Simulation::new(0, items_max);
    let clients = (0..32).map(|_| text(0.0, &mut simulation.random)).collect();
    simulation.latencies(clients, Some(MINUTE_MS)).len() as f64 / (MINUTE_MS / 1e3)
}

/// p99 over p50 of a minute of Poisson arrivals.
fn tail(seed: u64, items_max: usize, rate_per_s: f64) -> f64 {
    let mut simulation = Simulation::new(seed, items_max);
    let mut now = 0.0;
    let mut arrivals = VecDeque::new();
    while now < MINUTE_MS {
        now += exponential(&mut simulation.random) * 1e3 / rate_per_s;
        arrivals.push_back(text(now, &mut simulation.random));
    }
    let mut latencies = simulation.latencies(arrivals, None);
    latencies.sort_by(f64::total_cmp);
    latencies[latencies.len() * 99 / 100] / latencies[latencies.len() / 2]
}

/// The middle of fifteen minutes' tails at 80 % of capacity.
fn usual_tail(items_max: usize, capacity: f64) -> f64 {
    let mut tails: Vec<f64> = (1..=15).map(|seed| tail(seed, items_max, 0.8 * capacity)).collect();
    tails.sort_by(f64::total_cmp);
    tails[tails.len() / 2]
}

#[test]
fn batches_serve_more_and_their_latencies_differ_less() {
    let (alone, batched) = (capacity(1), capacity(64));
    assert!(batched > 1.25 * alone, "{batched:.0} texts/s in batches, {alone:.0} alone");
    let (tail_alone, tail_batched) = (usual_tail(1, alone), usual_tail(64, batched));
    assert!(tail_batched < 3.1 && tail_alone > 3.8, "{tail_batched:.2} in batches, {tail_alone:.2} alone");
}
