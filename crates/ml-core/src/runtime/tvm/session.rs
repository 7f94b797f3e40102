//! A compiled model in a virtual machine of its own, which runs on the thread that calls it.

use std::path::Path;

use tvm_ffi::{Any, AnyView, Array, Function, Module, Tensor};

/// TVM's numbers for where and how a virtual machine allocates.
const CPU: i64 = 1;
const FIRST_DEVICE: i64 = 0;
/// Memory goes back to the system's allocator after each run. The pooled one keeps what it ever had of each size, and sizes
/// of batches and texts are without end.
const NAIVE_ALLOCATOR: i64 = 1;

pub(super) struct Session {
    main: Function,
    /// The code that `main` runs. Fields are dropped in their order, so that it is there for as long as that.
    _library: Module,
}

// SAFETY: Both fields are pointers to objects that count their owners atomically and are tied to no thread. The virtual machine behind
// `main` has its frames and registers in its own memory; workspaces are taken and given back within one call, by the thread
// that runs it. A machine must not run on two threads at once: `Session` is not `Sync`, each has a machine of its own, and
// the library, which they share, is only read.
unsafe impl Send for Session {}

impl Session {
    /// Starts a virtual machine for the model in this library, whose code this runs from here on.
    pub fn start(library: &Module) -> tvm_ffi::Result<(Self, String)> {
        let machine: Module = library.get_function("vm_load_executable")?.call_tuple(())?.try_into()?;
        let start = machine.get_function("vm_initialization")?;
        start.call_tuple((CPU, FIRST_DEVICE, NAIVE_ALLOCATOR))?;
        let signature: tvm_ffi::String = machine.get_function("signature")?.call_tuple(())?.try_into()?;
        let main = machine.get_function("main")?;
        Ok((Self { main, _library: library.clone() }, signature.as_str().to_owned()))
    }

    /// Runs the model on inputs in the order of its signature.
    pub fn run(&mut self, inputs: &[Tensor]) -> tvm_ffi::Result<Vec<Tensor>> {
        let inputs: Vec<AnyView<'_>> = inputs.iter().map(AnyView::from).collect();
        let output: Any = self.main.call_packed(&inputs)?;
        if let Some(single) = output.try_as::<Tensor>() {
            return Ok(vec![single]);
        }
        let outputs: Array<Tensor> = output.try_into()?;
        Ok(outputs.iter().collect())
    }
}

/// Loads the library of a compiled model.
pub(super) fn open(path: &Path) -> tvm_ffi::Result<Module> {
    Module::load_from_file(path.to_string_lossy())
}
