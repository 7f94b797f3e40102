//! The kind of machine, as far as it decides which form of a model is fastest.

use std::fmt;

/// A kind of machine: its CPU's architecture, and what that has for short numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(Vec<String>);

/// Products of 8-bit integers in one instruction. Without them int8 is hardly faster than floats, and on x86 it can saturate.
const INT8_PRODUCTS: [&str; 4] = ["avx512vnni", "avxvnni", "dotprod", "i8mm"];

/// The one of these that our own operator uses.
const WIDE_INT8_PRODUCTS: &str = "avx512vnni";

impl Machine {
    /// Returns what this machine is.
    pub fn here() -> Self {
        let there = features().into_iter().filter_map(|(name, there)| there.then_some(name));
        Self([std::env::consts::ARCH].into_iter().chain(there).map(str::to_owned).collect())
    }

    /// Reads what [`Display`](fmt::Display) wrote: the architecture, and what it has, with spaces between them.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Returns the architecture: `x86_64`, `aarch64`.
    pub fn architecture(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Returns whether it multiplies 8-bit integers in one instruction: VNNI on x86, dot products on Arm.
    pub fn multiplies_int8(&self) -> bool {
        self.0.iter().any(|feature| INT8_PRODUCTS.contains(&feature.as_str()))
    }

    /// Returns whether it does so in vectors of 512 bits: VNNI with AVX-512.
    pub fn multiplies_int8_widely(&self) -> bool {
        self.0.iter().any(|feature| feature == WIDE_INT8_PRODUCTS)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> [(&'static str, bool); 5] {
    [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
        ("avxvnni", std::is_x86_feature_detected!("avxvnni")),
        ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> [(&'static str, bool); 4] {
    [
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> [(&'static str, bool); 0] {
    []
}
