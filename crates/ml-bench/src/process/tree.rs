//! A process and all that it started, from `/proc`. Where there is no `/proc`, the tree is empty.

use std::fs;

/// A process that is told apart from a later one with the same id by the instant at which it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    parent: u32,
    /// In clock ticks since the machine was started.
    started: u64,
}

/// A process and its descendants, as they were when it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree(Vec<Process>);

impl Tree {
    /// Reads the tree below a process.
    pub(crate) fn of(root: u32) -> Self {
        Self(below(root, &all()))
    }

    /// Returns the resident memory of all together; `None` when the root is not running.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let bytes: Vec<u64> = self.0.iter().filter_map(|process| resident_bytes(process.pid)).collect();
        (!bytes.is_empty()).then(|| bytes.iter().sum())
    }

    /// Returns the ids of those that are still running.
    pub(crate) fn alive(&self) -> Vec<u32> {
        let same = |process: &&Process| {
            read(process.pid).is_some_and(|(now, zombie)| now.started == process.started && !zombie)
        };
        self.0.iter().filter(same).map(|process| process.pid).collect()
    }
}

/// Returns `root` and its descendants among all processes.
fn below(root: u32, all: &[Process]) -> Vec<Process> {
    let mut tree: Vec<Process> = all.iter().copied().filter(|process| process.pid == root).collect();
    let mut next = 0;
    while let Some(parent) = tree.get(next).map(|process| process.pid) {
        let children = all.iter().copied().filter(|process| process.parent == parent);
        tree.extend(children);
        next += 1;
    }
    tree
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some(read(pid)?.0)).collect()
}

fn read(pid: u32) -> Option<(Process, bool)> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Parses a line of `/proc/PID/stat`, also into whether the process has ended and only waits to be noticed. The
/// second field is the program's name in brackets, and may itself hold spaces and brackets.
fn parse(pid: u32, stat: &str) -> Option<(Process, bool)> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let zombie = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some((Process { pid, parent, started }, zombie))
}

fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read_past_the_name() {
        let stat = "42 (a) (odd name) S 7 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9001 1 2 3";
        let expected = Process { pid: 42, parent: 7, started: 9001 };
        assert_eq!(parse(42, stat), Some((expected, false)));
        assert_eq!(parse(42, "broken"), None);
    }

    #[test]
    fn descendants_are_found_through_their_parents() {
        let process = |pid, parent| Process { pid, parent, started: 0 };
        let all = [process(1, 0), process(5, 3), process(3, 2), process(2, 1), process(4, 1)];
        let pids = |root| below(root, &all).iter().map(|process| process.pid).collect::<Vec<_>>();
        assert_eq!(pids(2), [2, 3, 5]);
        assert_eq!(pids(9), [0_u32; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory() {
        let tree = Tree::of(std::process::id());
        assert!(tree.resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(tree.alive().contains(&std::process::id()));
        assert_eq!(Tree::of(u32::MAX).resident_bytes(), None);
    }
}
