//! A program that runs until its guard is dropped, what it has written, and how it ended.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::http::{Connection, Response, get};
use super::programs::{ROOT, binary};

/// How long anything may take that is not what a test is about, on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program with its arguments and its environment, in the workspace's folder.
pub struct Program(Command);

impl Program {
    /// Prepares a program, without the settings that this test's own environment may hold.
    pub fn new(path: PathBuf) -> Self {
        let mut command = Command::new(path);
        command.current_dir(ROOT).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name == "PORT" || name.to_string_lossy().starts_with("ML_SERVE_") {
                command.env_remove(name);
            }
        }
        Self(command)
    }

    /// Prepares `ml-serve` with the iris model on a free port, and more flags.
    pub fn iris(flags: &[&str]) -> Self {
        Self::new(binary("ml-serve")).args(&["examples/models/iris", "--port", "0"]).args(flags)
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.0.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Starts the program and waits until it serves.
    pub fn serve(self) -> Server {
        let process = Process::start(self.0);
        let ready = process.stdout.wait_for("ml-serve is ready at http://");
        let address = ready.and_then(|line| {
            let (_, rest) = line.split_once("http://")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        let Some(address) = address else { panic!("it is not ready:\n{}", process.stderr.text()) };
        Server { address, process }
    }

    /// Runs the program, which ends by itself.
    pub fn run(self) -> Ended {
        Process::start(self.0).wait()
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A server that answers at an address; dropping it ends it.
pub struct Server {
    pub address: SocketAddr,
    process: Process,
}

impl Server {
    /// Opens a connection to it.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address).expect("the server takes connections")
    }

    /// Sends a request on a connection of its own.
    pub fn ask(&self, request: &[u8]) -> Response {
        self.connect().ask(request)
    }

    /// Returns the value of a number without labels on its metrics page.
    pub fn number(&self, name: &str) -> i64 {
        let page = self.ask(&get("/metrics")).text();
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in\n{page}"))
    }

    /// Waits until no request is at work but the one that asks.
    pub fn wait_until_idle(&self) {
        let started = Instant::now();
        while self.number("ml_http_requests_at_work ") > 1 {
            assert!(started.elapsed() < PATIENCE, "a request stays at work");
        }
    }

    /// Returns the most memory that it has ever held, in KiB, where the system tells.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is a program");
        assert!(sent.success(), "kill {name} ended with {sent}");
    }

    /// Waits until its log says so.
    pub fn wait_for_log(&self, text: &str) {
        assert!(
            self.process.stderr.wait_for(text).is_some(),
            "no {text:?} in\n{}",
            self.process.stderr.text()
        );
    }

    /// Returns the line of its output with this text, which may be yet to come.
    pub fn line_of_output(&self, text: &str) -> String {
        self.process.stdout.wait_for(text).unwrap_or_else(|| panic!("no {text:?} in its output"))
    }

    /// Returns its output so far.
    pub fn output(&self) -> String {
        self.process.stdout.text()
    }

    /// Waits until it has ended.
    pub fn wait(self) -> Ended {
        self.process.wait()
    }

    /// Tells it to stop, and waits until it has ended.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }
}

struct Process {
    child: Child,
    stdout: Written,
    stderr: Written,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Written::by(child.stdout.take().expect("it is piped"));
        let stderr = Written::by(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    fn wait(mut self) -> Ended {
        // A program's streams are closed when it ends: that can be waited for with a limit.
        let ended = self.stdout.wait_for_end() && self.stderr.wait_for_end();
        assert!(ended, "it did not end:\n{}", self.stderr.text());
        let status = self.child.wait().expect("it is ours");
        Ended { code: status.code(), stdout: self.stdout.text(), stderr: self.stderr.text() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail in a way that matters: a program that has ended needs no end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a program has written to a stream so far.
struct Written(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Default)]
struct Heard {
    text: String,
    ended: bool,
}

impl Written {
    /// Starts listening.
    fn by(stream: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let heard = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                heard.0.lock().unwrap().text.push_str(&String::from_utf8_lossy(&line));
                heard.1.notify_all();
                line.clear();
            }
            heard.0.lock().unwrap().ended = true;
            heard.1.notify_all();
        });
        Self(shared)
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    /// Returns the first line with `text` in it, or `None` when the stream ends or time passes without one.
    fn wait_for(&self, text: &str) -> Option<String> {
        let line = |heard: &Heard| heard.text.lines().find(|line| line.contains(text)).map(str::to_owned);
        let (mutex, changed) = &*self.0;
        let waits = |heard: &mut Heard| !heard.ended && line(heard).is_none();
        let (heard, _) = changed.wait_timeout_while(mutex.lock().unwrap(), PATIENCE, waits).unwrap();
        line(&heard)
    }

    fn wait_for_end(&self) -> bool {
        let (mutex, changed) = &*self.0;
        let waits = |heard: &mut Heard| !heard.ended;
        changed.wait_timeout_while(mutex.lock().unwrap(), PATIENCE, waits).unwrap().0.ended
    }
}
