//! Execution providers: what ONNX Runtime calls the devices that it was built for.

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::environment::LoadedRuntime;
use super::openvino;
use crate::runtime::{Device, NoDevice};

/// What `auto` looks for, in this order.
const AUTO: [Device; 2] = [Device::Cuda(0), Device::DirectMl];

/// Every kind of device but the CPU, to say what a library offers.
const ALL: [Device; 5] =
    [Device::Cuda(0), Device::TensorRt, Device::OpenVino, Device::CoreMl, Device::DirectMl];

/// Finds the device that is meant by `wanted`: offered by the library, and with a provider that can be set up here.
///
/// A provider can still find no device when a session is made; the caller of this then has the CPU to fall back to.
pub(super) fn resolve(runtime: &LoadedRuntime, wanted: Device) -> Result<Device, NoDevice> {
    match wanted {
        Device::Cpu => Ok(Device::Cpu),
        Device::Auto => Ok(auto(runtime)),
        device => {
            let failed = |reason| NoDevice { device, reason };
            if !is_offered(device) {
                return Err(failed(format!("this {} offers {}", runtime.name, offered())));
            }
            set_up(runtime, device).map(|()| device).map_err(failed)
        }
    }
}

/// Takes the first device that is offered and can be set up, else the CPU. The log says why not one that is offered; what is
/// offered it said when the library was loaded.
fn auto(runtime: &LoadedRuntime) -> Device {
    for device in AUTO.into_iter().filter(|device| is_offered(*device)) {
        match set_up(runtime, device) {
            Ok(()) => return device,
            Err(reason) => {
                tracing::warn!(%device, reason, "the library offers a device that cannot be had; the CPU computes");
            }
        }
    }
    Device::Cpu
}

/// Returns the name and version of what computes on a device, with all that decides its numbers.
pub(super) fn name(runtime: &LoadedRuntime, device: Device) -> String {
    match device {
        Device::OpenVino => format!("{}, OpenVINO in {}", runtime.name, openvino::precision()),
        _ => runtime.name.clone(),
    }
}

/// Lets the sessions of a builder run on a device, with so many threads where that is the CPU, or fail.
pub(super) fn on(device: Device, threads: usize, builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    let providers: Vec<ExecutionProviderDispatch> =
        dispatches(device, threads).into_iter().map(ExecutionProviderDispatch::error_on_failure).collect();
    if providers.is_empty() {
        return Ok(builder);
    }
    let builder = builder.with_execution_providers(providers)?;
    // What fails inside OpenVINO's provider is an error only when nothing else may take its place.
    if device == Device::OpenVino { Ok(builder.with_disable_cpu_fallback()?) } else { Ok(builder) }
}

fn set_up(runtime: &LoadedRuntime, device: Device) -> Result<(), String> {
    let builder = Session::builder(&runtime.environment).and_then(|builder| on(device, 1, builder));
    builder.map(drop).map_err(|error| error.message().to_owned())
}

fn dispatches(device: Device, threads: usize) -> Vec<ExecutionProviderDispatch> {
    let cuda =
        |number: u32| ep::CUDA::default().with_device_id(i32::try_from(number).unwrap_or(i32::MAX)).build();
    match device {
        Device::Auto | Device::Cpu => Vec::new(),
        Device::Cuda(number) => vec![cuda(number)],
        Device::TensorRt => vec![ep::TensorRT::default().build(), cuda(0)],
        Device::OpenVino => vec![openvino::on_cpu(threads).build()],
        Device::CoreMl => vec![ep::CoreML::default().build()],
        Device::DirectMl => vec![ep::DirectML::default().build()],
    }
}

fn is_offered(device: Device) -> bool {
    let offered = match device {
        Device::Auto | Device::Cpu => Ok(true),
        Device::Cuda(_) => ep::CUDA::is_available(),
        Device::TensorRt => ep::TensorRT::is_available(),
        Device::OpenVino => ep::OpenVINO::is_available(),
        Device::CoreMl => ep::CoreML::is_available(),
        Device::DirectMl => ep::DirectML::is_available(),
    };
    offered.unwrap_or(false)
}

/// Names what the loaded library was built for, whether the machine has it or not.
pub(super) fn offered() -> String {
    let mut names = vec!["cpu".to_owned()];
    names.extend(ALL.into_iter().filter(|device| is_offered(*device)).map(|device| match device {
        Device::Cuda(_) => "cuda".to_owned(),
        device => device.to_string(),
    }));
    names.join(", ")
}
