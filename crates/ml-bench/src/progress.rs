//! One line on stderr that says how far a run is, where stderr is a terminal.

use std::io::{self, IsTerminal, Write};

/// The progress line. It is wiped when dropped, and nothing is written where nobody looks.
pub(crate) struct Progress {
    watched: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { watched: io::stderr().is_terminal() }
    }

    /// Replaces the line. A terminal that went away is no reason to stop measuring.
    pub(crate) fn show(&self, line: &str) {
        if self.watched {
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.show("");
    }
}
