//! How long a run of the model takes, learned from the runs themselves: a line of time against cost.
//!
//! `time = fixed + per_cost × cost`, fitted by least squares in which older runs weigh less (recursive least squares
//! with exponential forgetting; Haykin, "Adaptive Filter Theory"). Two things are done otherwise than in the books:
//!
//! - The error of a run is taken in proportion to its cost, since what disturbs runs disturbs long ones for longer: what
//!   is fitted is `time / cost = per_cost + fixed × (1 / cost)`.
//! - A run makes those of similar cost fade, and others less. Under load all batches are alike, and would soon have
//!   pushed out the few that tell what is fixed; the line would turn around their common point, as noise has it. For the
//!   same reason a smaller batch is tried now and then.

use std::time::Duration;

/// Each run makes the earlier ones of similar cost weigh this much less, so that the last thirty or so decide.
const MEMORY: f64 = 31.0 / 32.0;

/// Each run makes all earlier ones weigh this much less, so that a machine that changed is not held to what it was.
const MEMORY_OF_OTHERS: f64 = 127.0 / 128.0;

/// Costs are similar when they have the same power of two below them; what is larger than the last counts with it.
const POWERS: usize = 24;

/// Fewer runs than this say too little: a line through few and noisy points makes wild promises of large batches.
const RUNS_MIN: u32 = 15;

/// The first runs find nothing in any cache, and say nothing about those that follow.
const COLD_RUNS: u32 = 4;

/// A run that took this many times as long as foreseen was disturbed, and counts as if it took only that long.
const DISTURBED: f64 = 2.0;

/// Costs that spread less than this share of their mean do not tell the fixed part from the part per cost.
const SPREAD_MIN: f64 = 0.05;

/// Where the costs do not tell, this share of the time is taken to be fixed: enough to make the engine try a batch.
const FIXED_SHARE_PRIOR: f64 = 0.5;

/// A batch grows while its fixed part is more than this share of its time.
///
/// Beyond it, growing gains less than this share of throughput and costs every item in the batch its latency.
const FIXED_SHARE_MIN: f64 = 1.0 / 10.0;

/// Where much waits, a batch grows until its fixed part is this share of its time, since all that wait gain by what is saved, but takes
/// no more than this part of what its runner has before it: the items in it wait for its end.
const FIXED_SHARE_BEFORE_BACKLOG: f64 = 1.0 / 24.0;
const BACKLOG_PART: f64 = 0.5;

/// One in so many batches is smaller than usual: a half, a quarter or an eighth. Under load all batches are alike, and so
/// say nothing about what is fixed: the budget would stay wherever the first, noisy runs have put it.
const TRY_SMALLER: u32 = 32;

/// While little is known, smaller ones are tried this often, for so many batches.
const TRY_SMALLER_AT_FIRST: u32 = 4;
const AT_FIRST: u32 = 64;

/// The time of a run, in seconds, as a line over its cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub fixed: f64,
    pub per_cost: f64,
    /// The cost up to which a batch grows.
    budget: f64,
}

impl Line {
    /// A line whose batches grow for as long as growing gains something.
    pub const fn new(fixed: f64, per_cost: f64) -> Self {
        Self { fixed, per_cost, budget: fixed * (1.0 / FIXED_SHARE_MIN - 1.0) / per_cost }
    }

    /// What is assumed of a model that has not run yet, in no particular unit: five items like the first, which weighs
    /// `cost`, are a batch. So they are for all-MiniLM-L6-v2 at 27 tokens.
    pub fn assumed(cost: usize) -> Self {
        const ITEMS: f64 = 5.0;
        Self::new(cost as f64 * ITEMS / (1.0 / FIXED_SHARE_MIN - 1.0), 1.0)
    }

    /// Returns the time of a run of this cost.
    pub fn time(&self, cost: usize) -> f64 {
        self.fixed + self.per_cost * cost as f64
    }

    /// Returns the line for a runner that has work of this cost before it: its batch may be larger.
    pub fn before(self, backlog: f64) -> Self {
        let most = self.budget * (1.0 / FIXED_SHARE_BEFORE_BACKLOG - 1.0) / (1.0 / FIXED_SHARE_MIN - 1.0);
        Self { budget: (BACKLOG_PART * backlog).min(most).max(self.budget), ..self }
    }

    /// Returns the cost beyond which a batch does not grow.
    pub fn budget(&self) -> f64 {
        self.budget
    }
}

/// Learns the line of one model at one width.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    runs: u32,
    batches: u32,
    /// What runs cost lately.
    usual_cost: f64,
    by_power: [Sums; POWERS],
    line: Option<Line>,
}

impl Pace {
    /// Learns from a run of `cost` that took `time`.
    pub fn observe(&mut self, cost: usize, time: Duration) {
        self.runs = self.runs.saturating_add(1);
        if self.runs <= COLD_RUNS {
            return;
        }
        let (power, mut time) = (cost.max(1).ilog2() as usize, time.as_secs_f64());
        if let Some(line) = self.line {
            time = time.min(DISTURBED * line.time(cost));
        }
        let similar = &mut self.by_power[power.min(POWERS - 1)];
        similar.fade(MEMORY);
        similar.add(&Sums::of_run(cost.max(1) as f64, time));
        let mut all = Sums::default();
        for sums in &mut self.by_power {
            sums.fade(MEMORY_OF_OTHERS);
            all.add(sums);
        }
        self.usual_cost += (cost as f64 - self.usual_cost) / 16.0;
        self.line = (self.runs >= RUNS_MIN).then(|| all.line());
    }

    /// Returns the line, or `None` before enough runs were seen.
    pub fn line(&self) -> Option<Line> {
        self.line
    }

    /// Returns the line to form the next batch by, for a runner that has work of this cost before it: now and then one with a smaller
    /// budget than usual.
    pub fn line_of_next_batch(&mut self, backlog: f64) -> Option<Line> {
        let line = self.line?.before(backlog);
        self.batches = self.batches.wrapping_add(1);
        let every = if self.batches <= AT_FIRST { TRY_SMALLER_AT_FIRST } else { TRY_SMALLER };
        if !self.batches.is_multiple_of(every) {
            return Some(line);
        }
        let part = [0.5, 0.25, 0.125][(self.batches / every % 3) as usize];
        Some(Line { budget: part * self.usual_cost.min(line.budget), ..line })
    }
}

/// Weighted sums over runs: of one, `1 / cost`, `time / cost`, and the products that least squares needs.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    runs: f64,
    inverse: f64,
    rate: f64,
    inverse_inverse: f64,
    inverse_rate: f64,
}

impl Sums {
    fn of_run(cost: f64, time: f64) -> Self {
        let (inverse, rate) = (1.0 / cost, time / cost);
        Self { runs: 1.0, inverse, rate, inverse_inverse: inverse * inverse, inverse_rate: inverse * rate }
    }

    fn fade(&mut self, memory: f64) {
        let Self { runs, inverse, rate, inverse_inverse, inverse_rate } = self;
        for sum in [runs, inverse, rate, inverse_inverse, inverse_rate] {
            *sum *= memory;
        }
    }

    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.inverse += other.inverse;
        self.rate += other.rate;
        self.inverse_inverse += other.inverse_inverse;
        self.inverse_rate += other.inverse_rate;
    }

    fn line(&self) -> Line {
        let (inverse, rate) = (self.inverse / self.runs, self.rate / self.runs);
        let variance = self.inverse_inverse / self.runs - inverse * inverse;
        if variance <= (SPREAD_MIN * inverse).powi(2) {
            let per_cost = rate * (1.0 - FIXED_SHARE_PRIOR);
            return Line::new(rate * FIXED_SHARE_PRIOR / inverse, per_cost);
        }
        let fixed = (self.inverse_rate / self.runs - inverse * rate) / variance;
        let per_cost = rate - fixed * inverse;
        if fixed < 0.0 {
            Line::new(0.0, rate)
        } else if per_cost <= 0.0 {
            // Larger runs were no slower; a slope of nearly nothing keeps the budget finite.
            Line::new(self.inverse_rate / self.inverse_inverse, rate * 1e-6)
        } else {
            Line::new(fixed, per_cost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::{Candidate, Shape, choose};

    fn learned(runs: impl IntoIterator<Item = (usize, f64)>) -> Option<Line> {
        let mut pace = Pace::default();
        for (cost, ms) in runs {
            pace.observe(cost, Duration::from_secs_f64(ms / 1e3));
        }
        pace.line()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected.abs() * 1e-6 + 1e-12
    }

    /// all-MiniLM-L6-v2 on one thread: 2 ms and 0.22 ms a token.
    fn minilm(cost: usize) -> f64 {
        2.0 + 0.22 * cost as f64
    }

    #[test]
    fn the_line_is_found_and_its_budget_follows() {
        let line = learned((1..50).map(|run| (run * 7 % 200, minilm(run * 7 % 200)))).unwrap();
        assert!(close(line.fixed, 2e-3) && close(line.per_cost, 0.22e-3), "{line:?}");
        assert!(close(line.budget(), 9.0 * 2.0 / 0.22));
        assert!(close(line.time(100), 24e-3));
    }

    #[test]
    fn a_smaller_batch_is_tried_now_and_then_and_its_time_is_foreseen_as_ever() {
        let mut pace = Pace::default();
        for run in 1..50 {
            pace.observe(run * 7 % 200, Duration::from_secs_f64(minilm(run * 7 % 200) / 1e3));
        }
        let usual = pace.line().unwrap();
        let tried: Vec<_> = (0..16).map(|_| pace.line_of_next_batch(0.0).unwrap()).collect();
        assert_eq!(tried.iter().filter(|line| line.budget() <= usual.budget() / 2.0).count(), 4);
        assert!(tried.iter().all(|line| line.time(100) == usual.time(100)), "{tried:?}");
    }

    #[test]
    fn a_batch_is_larger_before_a_backlog_but_never_most_of_it() {
        let line = Line::new(2e-3, 0.22e-3);
        let (usual, most) = (9.0 * 2.0 / 0.22, 23.0 * 2.0 / 0.22);
        for (backlog, expected) in [(0.0, usual), (160.0, usual), (300.0, 150.0), (1e6, most)] {
            assert!(close(line.before(backlog).budget(), expected), "{backlog}: {:?}", line.before(backlog));
        }
    }

    #[test]
    fn nothing_is_known_before_a_few_runs() {
        let runs = |count: usize| learned((1..=count).map(|run| (run, run as f64)));
        assert_eq!(runs(14), None);
        assert!(runs(15).is_some());
    }

    #[test]
    fn runs_of_one_cost_leave_room_to_try_others() {
        let line = learned((0..20).map(|_| (1, 1.0))).unwrap();
        assert!(close(line.fixed, 0.5e-3) && close(line.per_cost, 0.5e-3), "{line:?}");
    }

    #[test]
    fn a_line_never_falls_and_never_starts_below_nothing() {
        let falling = learned((1..50).map(|run| (run, 100.0 - run as f64))).unwrap();
        assert!(falling.per_cost > 0.0 && falling.budget().is_finite(), "{falling:?}");
        let steep = learned((1..50).map(|run| (run, (run * run) as f64))).unwrap();
        assert!(steep.fixed == 0.0 && steep.per_cost > 0.0, "{steep:?}");
    }

    #[test]
    fn one_disturbed_run_does_not_bend_the_line() {
        let usual = (1..=100).map(|run| (run * 37 % 250 + 1, minilm(run * 37 % 250 + 1)));
        let line = learned(usual.chain([(20, 60_000.0)])).unwrap();
        assert!((line.time(100) / 24e-3 - 1.0).abs() < 0.05, "{line:?}");
    }

    #[test]
    fn runs_of_nearly_one_cost_do_not_turn_the_line() {
        let mixed = (0..200_usize).map(|run| (run * 37 % 250 + 1, 1.0));
        // Then all are alike, and the longer ones happen to be disturbed less.
        let alike = (0..500_usize).map(|run| (200 + run % 40, 1.2 - run as f64 % 40.0 / 100.0));
        let line = learned(mixed.chain(alike).map(|(cost, noise)| (cost, noise * minilm(cost)))).unwrap();
        assert!((1e-3..4e-3).contains(&line.fixed), "{line:?}");
    }

    /// Runs batches under a constant backlog and returns the mean cost of the last hundred.
    fn budget_found(cold: f64, seed: u64) -> f64 {
        let (mut pace, mut state) = (Pace::default(), seed);
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let shape = Shape { items_max: 32, packed: true, sizes: Vec::new() };
        let costs = (0..400).map(|run| {
            let waiting: Vec<_> = (0..32)
                .map(|_| Candidate { rank: 0, cost: 10 + (random() * 35.0) as usize, time_left: None })
                .collect();
            let batch = choose(&waiting, 0, &shape, pace.line_of_next_batch(0.0)).indices;
            let cost = batch.iter().map(|index| waiting[*index].cost).sum();
            // Other work on the machine; and the first runs find nothing in any cache.
            let disturbed = (1.0 + 0.4 * random()) * if run < 6 { cold } else { 1.0 };
            pace.observe(cost, Duration::from_secs_f64(minilm(cost) * disturbed / 1e3));
            cost as f64
        });
        costs.skip(300).sum::<f64>() / 100.0
    }

    #[test]
    fn the_budget_is_found_under_load_wherever_the_first_runs_have_put_it() {
        let found: Vec<_> = (0..20).map(|seed| budget_found(1.0 + seed as f64 / 5.0, seed)).collect();
        let budget = 9.0 * 2.0 / 0.22;
        let right = found.iter().filter(|cost| (0.5 * budget..2.0 * budget).contains(*cost)).count();
        assert!(right >= 19, "around {budget:.0}: {found:.0?}");
    }

    #[test]
    fn a_machine_that_slows_down_is_followed() {
        let runs = (0..2500_usize).map(|run| {
            let cost = run * 37 % 250 + 1;
            (cost, minilm(cost) * if run < 500 { 1.0 } else { 2.0 })
        });
        let line = learned(runs).unwrap();
        assert!((line.time(100) / 48e-3 - 1.0).abs() < 0.01, "{line:?}");
    }
}
