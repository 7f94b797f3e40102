//! The one place that decides how many threads there are, from the CPUs that this process may use.

use std::fmt;
use std::num::NonZeroUsize;

/// More HTTP threads than this were never the bottleneck: one of them parses tens of thousands of requests a second.
const HTTP_THREADS_MAX: usize = 8;

/// How the allowed CPUs are shared out.
///
/// Runners and preprocessing may together have more threads than there are CPUs: an item is either being
/// cleaned or being predicted, and the model's share is by far the larger one, so a strict split would leave
/// CPUs idle. Runners × intra-op threads never exceed the CPUs unless asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadPlan {
    /// CPUs that the process may use: the smaller of its affinity mask and its cgroup quota, at least 1.
    pub cpus: usize,
    /// Threads that speak HTTP.
    pub http: usize,
    /// Threads that clean large calls side by side.
    pub preprocess: usize,
    /// Threads that run batches, each its own, for one model.
    pub runners: usize,
    /// Threads inside one run of the model while other runs go on.
    pub intra_op: usize,
    /// Threads inside a run that has the machine to itself; equal to `intra_op` where there is no such run.
    pub wide: usize,
}

/// Numbers that the user fixed; the rest is decided from the CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadWishes {
    /// Threads that speak HTTP.
    pub http: Option<NonZeroUsize>,
    /// Threads that clean large calls.
    pub preprocess: Option<NonZeroUsize>,
    /// Runner threads for each model.
    pub runners: Option<NonZeroUsize>,
    /// Threads inside one run.
    pub intra_op: Option<NonZeroUsize>,
    /// Threads inside a run that has the machine to itself.
    pub wide: Option<NonZeroUsize>,
}

impl ThreadPlan {
    /// Plans for the CPUs that this process may use.
    ///
    /// The standard library reads both the affinity mask and the cgroup quota (version 1 and 2), rounded down.
    pub fn detect(wishes: ThreadWishes) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::for_cpus(cpus, wishes)
    }

    /// Plans for a given number of CPUs.
    ///
    /// One thread a run and a runner on each CPU gives the most throughput: two sessions of one thread reached
    /// 1.83 to 1.95 × of one, one session of two threads 1.14 to 1.75 × (all-MiniLM-L6-v2, two cores). But while one
    /// run is all the work that there is, the other CPUs would idle: such a run gets all of them.
    pub fn for_cpus(cpus: usize, wishes: ThreadWishes) -> Self {
        let cpus = cpus.max(1);
        let or = |wish: Option<NonZeroUsize>, decided: usize| wish.map_or(decided, NonZeroUsize::get);
        let intra_op = or(wishes.intra_op, (cpus / or(wishes.runners, cpus)).max(1));
        Self {
            cpus,
            http: or(wishes.http, cpus.min(HTTP_THREADS_MAX)),
            preprocess: or(wishes.preprocess, cpus),
            runners: or(wishes.runners, (cpus / intra_op).max(1)),
            intra_op,
            wide: or(wishes.wide, cpus).max(intra_op),
        }
    }
}

impl Default for ThreadPlan {
    fn default() -> Self {
        Self::detect(ThreadWishes::default())
    }
}

impl fmt::Display for ThreadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpus, http, preprocess, runners, intra_op, wide } = self;
        write!(f, "{cpus} CPUs: {runners} runners × {intra_op} threads, {wide} for a lone run, ")?;
        write!(f, "{preprocess} preprocess, {http} http")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(cpus: usize, runners: usize, intra_op: usize) -> (usize, usize) {
        let wishes = ThreadWishes {
            runners: NonZeroUsize::new(runners),
            intra_op: NonZeroUsize::new(intra_op),
            ..ThreadWishes::default()
        };
        let plan = ThreadPlan::for_cpus(cpus, wishes);
        (plan.runners, plan.intra_op)
    }

    #[test]
    fn a_lone_run_gets_all_cpus_unless_told_otherwise() {
        let wide = |cpus, wide| {
            let wishes = ThreadWishes { wide: NonZeroUsize::new(wide), ..ThreadWishes::default() };
            ThreadPlan::for_cpus(cpus, wishes).wide
        };
        assert_eq!((wide(8, 0), wide(8, 4), wide(8, 1), wide(1, 0)), (8, 4, 1, 1));
    }

    #[test]
    fn runners_times_intra_op_threads_fill_the_cpus() {
        for (cpus, runners, intra_op, expected) in [
            (2, 0, 0, (2, 1)),
            (2, 1, 0, (1, 2)),
            (2, 0, 2, (1, 2)),
            (8, 2, 0, (2, 4)),
            (8, 0, 3, (2, 3)),
            (2, 5, 0, (5, 1)), // a wish is granted, also an unwise one
            (0, 0, 0, (1, 1)),
        ] {
            assert_eq!(plan(cpus, runners, intra_op), expected, "{cpus} CPUs, wishes {runners} × {intra_op}");
        }
    }
}
