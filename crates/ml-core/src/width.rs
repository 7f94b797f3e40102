//! How many threads the model may use for the run at hand.
//!
//! The engine knows how busy the machine is, the runtime has the threads, and the pipeline's `predict_batch`, which
//! stands between the two, should not have to pass the word on: so it travels with the thread that runs the batch.

use std::cell::Cell;

/// How much of the machine a run may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Width {
    /// Other batches run at the same time: this one gets its share of the CPUs.
    Narrow,
    /// Nothing else is to be done: this run gets all CPUs. So does a run that no engine started.
    #[default]
    Wide,
}

thread_local! {
    static GRANTED: Cell<Width> = const { Cell::new(Width::Wide) };
}

impl Width {
    /// Returns what the calling thread was granted.
    pub fn granted() -> Self {
        GRANTED.get()
    }

    /// Runs `work` with this width granted to the calling thread.
    pub fn grant<R>(self, work: impl FnOnce() -> R) -> R {
        let _taken_back = TakeBack(GRANTED.replace(self));
        work()
    }
}

/// Restores what was granted before, also when the work panics.
struct TakeBack(Width);

impl Drop for TakeBack {
    fn drop(&mut self) {
        GRANTED.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::Width;

    #[test]
    fn a_grant_ends_with_its_work() {
        assert_eq!(Width::granted(), Width::Wide);
        Width::Narrow.grant(|| {
            assert_eq!(Width::granted(), Width::Narrow);
            Width::Wide.grant(|| assert_eq!(Width::granted(), Width::Wide));
            assert_eq!(Width::granted(), Width::Narrow);
        });
        assert!(catch_unwind(|| Width::Narrow.grant(|| panic!("the model crashed"))).is_err());
        assert_eq!(Width::granted(), Width::Wide);
    }
}
