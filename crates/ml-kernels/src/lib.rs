//! Kernels of inference that no runtime has: what is worth a hand-written loop, and nothing else. All `unsafe` of the crate is in
//! the modules named after instructions, but for one advice in `memory.rs`.
//!
//! [`FloatLinear`] is a linear layer in floats that adds the bias and computes the GELU while the sums are in registers.
//! [`Int8Linear`] is a linear layer in int8 with a scale for each row: LLM.int8() (Dettmers et al., 2022,
//! <https://arxiv.org/abs/2208.07339>), whose rows are quantised, multiplied, and made floats again in one pass. This crate knows no
//! runtime and no file format. [`Attention`] is that of texts without padding between them.

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod float;
mod gelu;
mod layout;
mod linear;
mod memory;
mod portable;
mod rows;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use attention::{Attention, Tokens};
pub use float::{Columns, FloatLinear, FloatParts};
pub use linear::{Activation, Int8Linear, LinearError, Parts, Path};
pub use memory::Arena;
