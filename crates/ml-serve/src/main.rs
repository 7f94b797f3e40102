//! Serves the ONNX models that the command line or the configuration names.

mod allocator;

use std::process::ExitCode;

use ml_serve::Server;

use self::allocator::MiMalloc;

/// A small request takes some sixty allocations, and many are under way at once: glibc keeps seven of a size at hand for a thread. This
/// one gave a model of one addition 1.07 × the requests, and takes 12 MB more. ONNX Runtime keeps to the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ml_serve::main(Server::configured_models)
}
