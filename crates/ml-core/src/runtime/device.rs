//! What a model runs on: the CPU, or a device that the found ONNX Runtime can use.

use std::fmt;
use std::str::FromStr;

/// What a model shall run on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// CUDA or DirectML where ONNX Runtime offers it and the machine has it, else the CPU.
    ///
    /// The others are for whoever asks for them: TensorRT builds engines for minutes at the first start, Core ML leaves most of a
    /// model with sizes that vary to the CPU, and OpenVINO is faster by giving up digits.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU, by its number.
    Cuda(u32),
    /// An NVIDIA GPU by TensorRT; CUDA computes what that cannot.
    TensorRt,
    /// The CPU by OpenVINO, in bfloat16 where the CPU has it: the whole model, or loading fails.
    OpenVino,
    /// Apple's GPU and neural engine.
    CoreMl,
    /// Any GPU on Windows.
    DirectMl,
}

/// What is no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no device; there are auto, cpu, cuda, cuda:N, tensorrt, openvino, coreml and directml")]
pub struct UnknownDevice(pub String);

/// A device that was asked for and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device {device} cannot be had: {reason}")]
pub struct NoDevice {
    /// What was asked for.
    pub device: Device,
    /// Why not: what the runtime offers, or what went wrong.
    pub reason: String,
}

impl Device {
    /// Returns the most items in one run that an engine takes unless it is told otherwise. It is a safety limit: how large a batch
    /// pays is learned from the runs, and on a CPU is less than this for all but tiny models.
    ///
    /// A GPU computes many items in the time of one: all-MiniLM-L6-v2 on an H200 came to 1.6 times as many texts with 256 as with 64.
    pub fn batch_items_max(self) -> usize {
        if self.gpu().is_some() { 256 } else { 64 }
    }

    /// Returns the number of the GPU that it is, where it is surely one.
    pub fn gpu(self) -> Option<u32> {
        match self {
            Self::Cuda(number) => Some(number),
            Self::TensorRt | Self::DirectMl => Some(0),
            Self::Auto | Self::Cpu | Self::OpenVino | Self::CoreMl => None,
        }
    }

    /// Returns the CPU, for a runtime that runs on no other device here, or why what was asked for cannot be had.
    pub(super) fn on_cpu_only(self, runtime: &str) -> Result<Self, NoDevice> {
        match self {
            Self::Auto | Self::Cpu => Ok(Self::Cpu),
            device => {
                let reason = format!("{runtime} offers cpu; ONNX Runtime, built for it, would offer more");
                Err(NoDevice { device, reason })
            }
        }
    }
}

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        Ok(match text {
            "auto" => Self::Auto,
            "cpu" => Self::Cpu,
            "cuda" => Self::Cuda(0),
            "tensorrt" => Self::TensorRt,
            "openvino" => Self::OpenVino,
            "coreml" => Self::CoreMl,
            "directml" => Self::DirectMl,
            other => {
                let number = other.strip_prefix("cuda:").and_then(|number| number.parse::<u16>().ok());
                Self::Cuda(number.ok_or_else(|| UnknownDevice(text.to_owned()))?.into())
            }
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda(number) => return write!(f, "cuda:{number}"),
            Self::TensorRt => "tensorrt",
            Self::OpenVino => "openvino",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7", "tensorrt", "openvino", "coreml", "directml"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:65536", "CPU"] {
            assert_eq!(text.parse::<Device>(), Err(UnknownDevice(text.to_owned())), "{text}");
        }
    }
}
