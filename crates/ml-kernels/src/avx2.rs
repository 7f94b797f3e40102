//! Attention with AVX2: its innermost loop by hand, the rest compiled for the instructions.

use std::arch::x86_64::*;

use crate::attention::{Attention, Lanes, Scratch, Sums, TOGETHER, Tokens};
use crate::layout::LANES;

/// The proof that this machine has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }

    /// Computes attention.
    pub(crate) fn attention(
        self,
        attention: &Attention,
        texts: &[usize],
        tokens: &Tokens<'_>,
        output: &mut [f32],
        scratch: &mut Scratch,
    ) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled(
            this: Avx2,
            attention: &Attention,
            texts: &[usize],
            tokens: &Tokens<'_>,
            output: &mut [f32],
            scratch: &mut Scratch,
        ) {
            attention.texts(texts, tokens, output, scratch, this);
        }
        // SAFETY: `self` exists, so that the machine has what the function is compiled for.
        unsafe { compiled(self, attention, texts, tokens, output, scratch) }
    }
}

impl Sums for Avx2 {
    #[inline(always)]
    fn sums<'a>(self, pairs: impl Iterator<Item = ([f32; TOGETHER], &'a Lanes)>) -> [Lanes; TOGETHER] {
        // SAFETY: `self` exists, so that the machine has what the function is compiled for.
        unsafe { sums(pairs) }
    }
}

/// The sums of the products of four numbers with a vector each, in vectors of 256 bits: broadcasts into longer ones are slower, and
/// eight sums are as many as hide each other's time. What the compiler makes of the plain loop took as long, or twice that with vectors
/// of 512 bits, or 1.7 times with eight queries at a time: it is written out so that it stays what it is.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn sums<'a>(pairs: impl Iterator<Item = ([f32; TOGETHER], &'a Lanes)>) -> [Lanes; TOGETHER] {
    let mut sums = [[_mm256_setzero_ps(); 2]; TOGETHER];
    for (numbers, vector) in pairs {
        // SAFETY: The vector has the sixteen floats that are read, and they need no alignment.
        let halves = unsafe { [_mm256_loadu_ps(vector.as_ptr()), _mm256_loadu_ps(vector.as_ptr().add(8))] };
        for (sums, number) in sums.iter_mut().zip(numbers) {
            let number = _mm256_set1_ps(number);
            for (sum, half) in sums.iter_mut().zip(halves) {
                *sum = _mm256_fmadd_ps(number, half, *sum);
            }
        }
    }
    let mut found = [[0.0; LANES]; TOGETHER];
    for (found, sums) in found.iter_mut().zip(sums) {
        // SAFETY: There is place for the sixteen floats that are written, and they need no alignment.
        unsafe {
            _mm256_storeu_ps(found.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(found.as_mut_ptr().add(8), sums[1]);
        }
    }
    found
}
