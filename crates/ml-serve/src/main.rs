//! Serves the ONNX models that the command line or the configuration names.

use std::process::ExitCode;

use ml_serve::Server;

fn main() -> ExitCode {
    ml_serve::main(Server::configured_models)
}
