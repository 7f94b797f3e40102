//! The `ml-bench` program: see `ml-bench --help`.

use std::io;
use std::process::ExitCode;

use ml_bench::cli::{self, Exit};

fn main() -> ExitCode {
    match cli::run(std::env::args_os().skip(1), &mut io::stdout().lock()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("ml-bench: {error}");
            Exit::Unmeasured.into()
        }
    }
}
