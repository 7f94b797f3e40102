//! Whether a run that begins alone will stay alone.

use super::Average;

/// Runs that began alone, and whether others began before they ended.
///
/// Such a run must share the CPUs that it was given, and one that is spread over all of them then waits for its slowest part, again and
/// again: more is lost than is gained while it is alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Company {
    came: bool,
    share: Average,
}

impl Default for Company {
    /// As if none had ever come: one run tells little.
    fn default() -> Self {
        Self { came: false, share: Average { mean: 0.0, is_known: true } }
    }
}

impl Company {
    /// A run begins alone.
    pub fn alone(&mut self) {
        self.came = false;
    }

    /// Another run begins.
    pub fn comes(&mut self) {
        self.came = true;
    }

    /// The run that began alone has ended.
    pub fn parts(&mut self) {
        self.share.observe(f64::from(u8::from(self.came)));
    }

    /// Whether a run that began now would rather be joined than not.
    pub fn is_likely(&self) -> bool {
        self.share.mean > 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(company: &mut Company, runs: u32, joined: impl Fn(u32) -> bool) -> bool {
        for run in 0..runs {
            company.alone();
            if joined(run) {
                company.comes();
            }
            company.parts();
        }
        company.is_likely()
    }

    #[test]
    fn company_is_likely_where_most_runs_had_some() {
        let mut company = Company::default();
        assert!(!company.is_likely(), "nothing is known");
        assert!(!after(&mut company, 200, |run| run % 3 == 0));
        assert!(after(&mut company, 200, |run| run % 3 != 0));
        assert!(!after(&mut company, 100, |_| false), "the load has gone");
    }
}
