//! A server that this process has started and will stop.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Start, Tree};
use crate::Error;

/// How long a server may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is looked whether it has stopped.
const TICK: Duration = Duration::from_millis(20);

/// A started server; dropped, it is stopped.
pub(crate) struct Running {
    name: String,
    child: Child,
    /// When it was started.
    pub(crate) since: Instant,
    log: PathBuf,
}

impl Running {
    /// Starts a server. What it prints goes to a file, which an error names.
    pub(crate) fn start(name: &str, start: &Start) -> Result<Self, Error> {
        let broken = |reason: String| Error::Start { name: name.to_owned(), reason };
        let [program, args @ ..] = start.argv.as_slice() else {
            return Err(broken("argv is empty, must name a program".to_owned()));
        };
        let log = log_path(name);
        let output = File::create(&log).map_err(|source| Error::Write { path: log.clone(), source })?;
        let errors = output.try_clone().map_err(|source| Error::Write { path: log.clone(), source })?;
        let mut command = Command::new(locate(program, &start.directory));
        command.args(args).envs(&start.env).stdin(Stdio::null()).stdout(output).stderr(errors);
        if start.directory != Path::new("") {
            command.current_dir(&start.directory);
        }
        let since = Instant::now();
        let child = command.spawn().map_err(|error| broken(format!("{program}: {error}")))?;
        Ok(Self { name: name.to_owned(), child, since, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when the server has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(error) => Err(self.failed(&error.to_string())),
        }
    }

    /// Returns the error of a server that did something else than it should.
    pub(crate) fn failed(&self, reason: &str) -> Error {
        let reason = format!("{reason}; its output is in {}", self.log.display());
        Error::Start { name: self.name.clone(), reason }
    }

    fn ended(&self, status: ExitStatus) -> Error {
        self.failed(&format!("stopped by itself with {status}"))
    }
}

impl Drop for Running {
    /// Asks the server to stop, waits, and kills what is left of it and of what it started.
    fn drop(&mut self) {
        let tree = Tree::of(self.pid());
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.pid(), Signal::SIGTERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOP_TIMEOUT {
            thread::park_timeout(TICK);
        }
        for pid in tree.alive() {
            signal(pid, Signal::SIGKILL);
        }
        // It was killed if it had to be, so this ends; where it was never running there is nothing to wait for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns where a program is: by its name on the `PATH`, by a path from the working directory that it gets. That
/// a relative path is not from ours would otherwise differ between operating systems.
fn locate(program: &str, directory: &Path) -> PathBuf {
    let path = directory.join(program);
    if program.contains('/') { std::path::absolute(&path).unwrap_or(path) } else { program.into() }
}

/// Sends a signal. A process that has just gone needs none.
fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// A file for the output of one target, told apart from those of other runs.
fn log_path(name: &str) -> PathBuf {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(fit).collect();
    std::env::temp_dir().join(format!("ml-bench-{}-{name}.log", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Start {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Start { argv, directory: PathBuf::new(), env: [("GREETING".to_owned(), "hello".to_owned())].into() }
    }

    #[test]
    fn a_server_that_ends_by_itself_names_its_output() {
        let mut server = Running::start("short", &shell("echo $GREETING; exit 3")).unwrap();
        server.child.wait().unwrap();
        let error = server.check().unwrap_err().to_string();
        assert!(error.starts_with("target short: stopped by itself with exit status: 3"), "{error}");
        assert_eq!(std::fs::read_to_string(log_path("short")).unwrap(), "hello\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_dropped_server_is_gone_with_all_that_it_started() {
        // The shell ignores what asks it to stop only for its child; the child must still be stopped.
        let server = Running::start("parent", &shell("sleep 600 & wait")).unwrap();
        let has_child = || Tree::of(server.pid()).alive().len() == 2;
        while !has_child() {
            thread::yield_now();
        }
        let tree = Tree::of(server.pid());
        drop(server);
        // A killed grandchild is gone once whoever adopted it has noticed; it no longer runs in any case.
        while !tree.alive().is_empty() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_program_with_a_path_is_looked_for_from_its_working_directory() {
        assert_eq!(locate("python3", Path::new("here")), Path::new("python3"));
        assert_eq!(locate("/bin/sh", Path::new("here")), Path::new("/bin/sh"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(locate("bin/serve", Path::new("here")), here.join("here/bin/serve"));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let start = Start { argv: vec!["no-such-program-here".to_owned()], ..shell("") };
        let error = Running::start("none", &start).err().map(|error| error.to_string()).unwrap();
        assert!(error.starts_with("target none: no-such-program-here: "), "{error}");
    }
}
