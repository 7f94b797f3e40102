//! The resident memory of a server while it is measured: its process and all that it started.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use crate::Error;
use crate::process::Tree;

/// The resident memory over time, in bytes. Pages that processes share count in each of them, as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// When the run began.
    pub start_bytes: u64,
    /// The most.
    pub max_bytes: u64,
    /// When the run ended.
    pub end_bytes: u64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, max, end] = [self.start_bytes, self.max_bytes, self.end_bytes].map(mib);
        write!(f, "{start:.1} MiB at the start, {max:.1} at most, {end:.1} at the end")
    }
}

/// Returns bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1_u32 << 20)
}

/// How often memory is read before it is looked again which processes there are, for which all of the machine's have
/// to be read: the measurement shares the machine with the server.
const SAMPLES_A_TREE: usize = 8;

/// Reads the memory of a running server now and then.
#[derive(Debug, Clone)]
pub(crate) struct MemoryLog {
    pid: u32,
    tree: Tree,
    start: Instant,
    /// Seconds from the start, and bytes; never empty.
    samples: Vec<(f64, u64)>,
}

impl MemoryLog {
    /// Reads for the first time.
    pub(crate) fn start(pid: u32) -> Result<Self, Error> {
        let tree = Tree::of(pid);
        let bytes = tree.resident_bytes().ok_or(Error::NoProcess(pid))?;
        Ok(Self { pid, tree, start: Instant::now(), samples: vec![(0.0, bytes)] })
    }

    /// Reads again. A server that went away has no memory, and its missing answers say so.
    pub(crate) fn sample(&mut self) {
        if self.samples.len().is_multiple_of(SAMPLES_A_TREE) {
            self.tree = Tree::of(self.pid);
        }
        if let Some(bytes) = self.tree.resident_bytes() {
            self.samples.push((self.start.elapsed().as_secs_f64(), bytes));
        }
    }

    pub(crate) fn samples(&self) -> &[(f64, u64)] {
        &self.samples
    }

    pub(crate) fn summary(&self) -> Memory {
        let bytes = || self.samples.iter().map(|(_, bytes)| *bytes);
        Memory {
            start_bytes: bytes().next().unwrap_or(0),
            max_bytes: bytes().max().unwrap_or(0),
            end_bytes: bytes().next_back().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_first_the_largest_and_the_last() {
        let samples = vec![(0.0, 5), (0.5, 9), (1.0, 7)];
        let log = MemoryLog { pid: 0, tree: Tree::default(), start: Instant::now(), samples };
        assert_eq!(log.summary(), Memory { start_bytes: 5, max_bytes: 9, end_bytes: 7 });
    }
}
