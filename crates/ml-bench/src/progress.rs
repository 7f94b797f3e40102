//! One line on stderr that says how far a run is, where stderr is a terminal.

use std::io::{self, IsTerminal, Write};

/// The characters of a full bar.
const BAR_CHARS: usize = 30;

/// The progress line. It is wiped when dropped, and nothing is written where nobody looks.
pub(crate) struct Progress {
    watched: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { watched: io::stderr().is_terminal() }
    }

    /// Replaces the line by a bar and a text.
    pub(crate) fn bar(&self, share: f64, text: &str) {
        self.show(&line(share, text));
    }

    /// Writes a line that stays, above the one that is replaced.
    pub(crate) fn note(&self, text: &str) {
        self.show(text);
        if self.watched {
            let _ = writeln!(io::stderr());
        }
    }

    /// Replaces the line. A terminal that went away is no reason to stop measuring.
    fn show(&self, line: &str) {
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

fn line(share: f64, text: &str) -> String {
    let full = (share.clamp(0.0, 1.0) * BAR_CHARS as f64).round() as usize;
    format!("[{}{}] {text}", "#".repeat(full), ".".repeat(BAR_CHARS - full))
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_bar_is_as_full_as_the_run() {
        for (share, full) in [(0.0, 0), (0.5, 15), (1.0, 30), (1.7, 30)] {
            let expected = format!("[{:.<30}] s", "#".repeat(full));
            assert_eq!(line(share, "s"), expected, "{share}");
        }
    }
}
