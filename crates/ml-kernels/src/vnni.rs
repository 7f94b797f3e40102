//! The products with AVX-512 and its VNNI, sixteen columns and four rows of weights an instruction.
//!
//! A tile of up to six rows by four vectors of columns is kept in registers over the whole width: 24 sums, four vectors of
//! weights and one of a row, of 32 registers. Unsigned rows times signed weights, with the zeros corrected by the sums of
//! the columns, is how oneDNN and FBGEMM use the instruction.

use std::arch::x86_64::*;

use crate::avx512::{add_products, by_size, first_lanes, gelu, load, store_some};
use crate::layout::{Finish, GROUP, LANES, Line, Panel};
use crate::linear::Block;
use crate::rows::{LARGEST, Rows, Scale};

/// The proof that this machine has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Vnni(());

impl Vnni {
    pub(crate) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        there.then_some(Self(()))
    }

    /// Quantises a row: the columns that the masks have.
    pub(crate) fn quantise(self, floats: &[f32], masks: &[u16], rows: &mut Rows, row: usize) {
        // SAFETY: `self` exists, so that the machine has what the function is compiled for.
        unsafe { quantise(floats, masks, rows, row) }
    }

    /// Multiplies up to [`TILE`](crate::linear::TILE) rows with a panel.
    pub(crate) fn product(
        self,
        panel: &Panel,
        block: &Block<'_>,
        first: usize,
        count: usize,
        out: &mut [f32],
    ) {
        // SAFETY: `self` exists, so that the machine has what the function is compiled for.
        by_size!(count, panel.finish.len(), unsafe tile(panel, block, first, out));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn quantise(floats: &[f32], masks: &[u16], rows: &mut Rows, row: usize) {
    let zero = _mm512_setzero_ps();
    let (mut low, mut high, mut no_numbers) = (zero, zero, 0);
    for (numbers, mask) in floats.chunks(LANES).zip(masks) {
        let numbers = load_some(numbers, *mask);
        // These give their second operand where the first is no number.
        low = _mm512_min_ps(numbers, low);
        high = _mm512_max_ps(numbers, high);
        no_numbers |= _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(numbers, numbers);
    }
    let scale = Scale::of(_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
    rows.set(row, scale, no_numbers == 0);
    let integers = &mut rows.integers[row * rows.stride..][..rows.stride];
    let (inverse, middle) = (_mm512_set1_ps(scale.inverse), _mm512_set1_ps(scale.zero));
    let vectors = floats.chunks(LANES).zip(masks);
    for (integers, (numbers, mask)) in integers.as_chunks_mut::<LANES>().0.iter_mut().zip(vectors) {
        let numbers = _mm512_fmadd_ps(load_some(numbers, *mask), inverse, middle);
        let numbers = _mm512_min_ps(_mm512_max_ps(numbers, zero), _mm512_set1_ps(LARGEST));
        let bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(numbers));
        // SAFETY: The place has the sixteen bytes that are written, and needs no alignment.
        unsafe { _mm_storeu_si128(integers.as_mut_ptr().cast(), bytes) };
    }
}

/// Loops of known lengths over arrays, instead of closures, here and below: a closure that is not inlined, since what calls it is
/// not compiled for these instructions, would have all sums written to memory.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile<const M: usize, const V: usize>(panel: &Panel, block: &Block<'_>, first: usize, out: &mut [f32]) {
    let floats = finished::<M, V>(products::<M, V>(panel, block, first), panel, block, first);
    for (row, floats) in floats.into_iter().enumerate() {
        let columns = panel.columns.min(V * LANES);
        let places = out[row * block.stride_out..][..columns].chunks_mut(LANES);
        for (place, floats) in places.zip(floats) {
            store_some(place, if block.gelu { gelu(floats) } else { floats });
        }
    }
}

/// The sums of the products of integers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn products<const M: usize, const V: usize>(
    panel: &Panel,
    block: &Block<'_>,
    first: usize,
) -> [[__m512i; V]; M] {
    let groups = block.lines[panel.lines.clone()].as_chunks::<V>().0;
    let mut rows: [&[[u8; GROUP]]; M] = [&[]; M];
    for (at, row) in rows.iter_mut().enumerate() {
        *row = &block.integers(first + at).as_chunks().0[..groups.len()];
    }
    let mut sums = [[_mm512_setzero_si512(); V]; M];
    for (at, lines) in groups.iter().enumerate() {
        let mut weights = [_mm512_setzero_si512(); V];
        for (weights, line) in weights.iter_mut().zip(lines) {
            *weights = load_line(line);
        }
        for (sums, row) in sums.iter_mut().zip(&rows) {
            // SAFETY: Each row was cut to as many groups as there are, of which this is one. A check of it here halves the speed:
            // for the way out of it, sums are copied to other registers and to memory.
            let group = _mm512_set1_epi32(i32::from_le_bytes(unsafe { *row.get_unchecked(at) }));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbusd_epi32(*sum, group, weights);
            }
        }
    }
    sums
}

/// Makes floats of the sums, and adds bias and outliers.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn finished<const M: usize, const V: usize>(
    sums: [[__m512i; V]; M],
    panel: &Panel,
    block: &Block<'_>,
    first: usize,
) -> [[__m512; V]; M] {
    let mut floats = [[_mm512_setzero_ps(); V]; M];
    let (scales, zeros) = (block.rows.scales[first..].first_chunk(), block.rows.zeros[first..].first_chunk());
    let (Some(scales), Some(zeros), Some(finishes)) = (scales, zeros, panel.finish.first_chunk::<V>()) else {
        return floats;
    };
    let (scales, zeros): (&[f32; M], &[i32; M]) = (scales, zeros);
    for (vector, Finish { sums: of_columns, scales: scales_of_columns, bias }) in finishes.iter().enumerate()
    {
        let (of_columns, scales_of_columns, bias) =
            (load_integers(of_columns), load(scales_of_columns), load(bias));
        for row in 0..M {
            let zero = _mm512_set1_epi32(zeros[row]);
            let sum = _mm512_sub_epi32(sums[row][vector], _mm512_mullo_epi32(zero, of_columns));
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scales_of_columns);
            floats[row][vector] = _mm512_fmadd_ps(scaled, _mm512_set1_ps(scales[row]), bias);
        }
    }
    let mut rows: [&[f32]; M] = [&[]; M];
    for (at, row) in rows.iter_mut().enumerate() {
        *row = block.outliers(first + at);
    }
    add_products::<M, V>(floats, &panel.outliers, rows, None)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_integers(numbers: &[i32; LANES]) -> __m512i {
    // SAFETY: There are as many numbers as are read, and they need no alignment.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_line(line: &Line) -> __m512i {
    // SAFETY: A line has the 64 bytes that are read, and their alignment.
    unsafe { _mm512_load_si512(line.0.as_ptr().cast()) }
}

/// Reads up to sixteen numbers, those that the mask has; the others are zeros.
#[target_feature(enable = "avx512f")]
#[inline]
fn load_some(numbers: &[f32], mask: u16) -> __m512 {
    // SAFETY: What the mask does not have is not read, and it has none of what is not there.
    unsafe { _mm512_maskz_loadu_ps(mask & first_lanes(numbers.len()), numbers.as_ptr()) }
}
