//! The products with AVX-512 and its VNNI, sixteen columns and four rows of weights an instruction. All `unsafe` of the crate is here.
//!
//! A tile of up to six rows by four vectors of columns is kept in registers over the whole width: 24 sums, four vectors of
//! weights and one of a row, of 32 registers. Unsigned rows times signed weights, with the zeros corrected by the sums of
//! the columns, is how oneDNN and FBGEMM use the instruction.

use std::arch::x86_64::*;
use std::array::from_fn;

use crate::gelu::{ABOVE, BELOW, LIMIT};
use crate::layout::{Finish, GROUP, LANES, Line, Panel};
use crate::linear::Block;
use crate::rows::{LARGEST, Rows, Scale};

/// The most rows of a tile.
pub(crate) const TILE: usize = 6;

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

    /// Multiplies up to [`TILE`] rows with a panel.
    pub(crate) fn product(
        self,
        panel: &Panel,
        block: &Block<'_>,
        first: usize,
        count: usize,
        out: &mut [f32],
    ) {
        macro_rules! by_size {
            ($($rows:literal)*) => {
                match (count, panel.finish.len()) {
                    // SAFETY: `self` exists, so that the machine has what the function is compiled for.
                    $(($rows, 1) => unsafe { tile::<$rows, 1>(panel, block, first, out) },
                    // SAFETY: As above.
                    ($rows, 2) => unsafe { tile::<$rows, 2>(panel, block, first, out) },
                    // SAFETY: As above.
                    ($rows, 3) => unsafe { tile::<$rows, 3>(panel, block, first, out) },
                    // SAFETY: As above.
                    ($rows, 4) => unsafe { tile::<$rows, 4>(panel, block, first, out) },)*
                    // No other sizes are made: see `TILE` and `PANEL`.
                    _ => {}
                }
            };
        }
        by_size!(1 2 3 4 5 6);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn quantise(floats: &[f32], masks: &[u16], rows: &mut Rows, row: usize) {
    let zero = _mm512_setzero_ps();
    // A read at the end of the row is masked by what is left of it, so that it never goes beyond it.
    let vectors = || floats.chunks(LANES).zip(masks).map(|(part, mask)| load_some(part, *mask));
    let (mut low, mut high, mut no_numbers) = (zero, zero, 0);
    for numbers in vectors() {
        // These give their second operand where the first is no number.
        low = _mm512_min_ps(numbers, low);
        high = _mm512_max_ps(numbers, high);
        no_numbers |= _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(numbers, numbers);
    }
    let scale = Scale::of(_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high));
    rows.set(row, scale, no_numbers == 0);
    let integers = &mut rows.integers[row * rows.stride..][..rows.stride];
    let (inverse, middle) = (_mm512_set1_ps(scale.inverse), _mm512_set1_ps(scale.zero));
    for (integers, numbers) in integers.as_chunks_mut::<LANES>().0.iter_mut().zip(vectors()) {
        let numbers = _mm512_fmadd_ps(numbers, inverse, middle);
        let numbers = _mm512_min_ps(_mm512_max_ps(numbers, zero), _mm512_set1_ps(LARGEST));
        let bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(numbers));
        // SAFETY: The place has the sixteen bytes that are written, and needs no alignment.
        unsafe { _mm_storeu_si128(integers.as_mut_ptr().cast(), bytes) };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile<const M: usize, const V: usize>(panel: &Panel, block: &Block<'_>, first: usize, out: &mut [f32]) {
    let groups = panel.weights.as_chunks::<V>().0;
    let rows: [&[[u8; GROUP]]; M] = from_fn(|row| &block.integers(first + row).as_chunks().0[..groups.len()]);
    let mut sums = [[_mm512_setzero_si512(); V]; M];
    for (at, lines) in groups.iter().enumerate() {
        let weights: [__m512i; V] = from_fn(|vector| load_line(&lines[vector]));
        for (sums, row) in sums.iter_mut().zip(&rows) {
            // SAFETY: Each row was cut to as many groups as there are, of which this is one. A check of it here halves the speed:
            // for the way out of it, sums are copied to other registers and to memory.
            let group = _mm512_set1_epi32(i32::from_le_bytes(unsafe { *row.get_unchecked(at) }));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbusd_epi32(*sum, group, weights);
            }
        }
    }
    let finishes = panel.finish.first_chunk::<V>();
    for (vector, finish) in finishes.into_iter().flatten().enumerate() {
        let mut floats = finished::<M>(from_fn(|row| sums[row][vector]), finish, block, first);
        let outliers = panel.outliers.iter().skip(vector).step_by(V);
        for (&column, weights) in block.outliers.iter().zip(outliers) {
            let weights = load(weights);
            for (row, floats) in floats.iter_mut().enumerate() {
                let number = block.floats[(first + row) * block.width + column];
                *floats = _mm512_fmadd_ps(_mm512_set1_ps(number), weights, *floats);
            }
        }
        let end = panel.columns.min((vector + 1) * LANES);
        for (row, floats) in floats.into_iter().enumerate() {
            let place = &mut out[row * block.stride_out..][vector * LANES..end];
            store_some(place, if block.gelu { gelu(floats) } else { floats });
        }
    }
}

/// Makes floats of the sums of a vector's columns.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn finished<const M: usize>(
    sums: [__m512i; M],
    finish: &Finish,
    block: &Block<'_>,
    first: usize,
) -> [__m512; M] {
    let (column_sums, scales, bias) = (load_integers(&finish.sums), load(&finish.scales), load(&finish.bias));
    from_fn(|row| {
        let zero = _mm512_set1_epi32(block.rows.zeros[first + row]);
        let sum = _mm512_sub_epi32(sums[row], _mm512_mullo_epi32(zero, column_sums));
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scales);
        _mm512_fmadd_ps(scaled, _mm512_set1_ps(block.rows.scales[first + row]), bias)
    })
}

#[target_feature(enable = "avx512f")]
#[inline]
fn gelu(x: __m512) -> __m512 {
    let limit = _mm512_set1_ps(LIMIT);
    let inner = _mm512_max_ps(_mm512_min_ps(x, limit), _mm512_set1_ps(-LIMIT));
    let square = _mm512_mul_ps(inner, inner);
    let powers = |coefficients: [f32; 6]| {
        coefficients[1..].iter().fold(_mm512_set1_ps(coefficients[0]), |sum, coefficient| {
            _mm512_fmadd_ps(sum, square, _mm512_set1_ps(*coefficient))
        })
    };
    let erf = _mm512_div_ps(_mm512_mul_ps(inner, powers(ABOVE)), powers(BELOW));
    let half = _mm512_mul_ps(_mm512_set1_ps(0.5), x);
    _mm512_fmadd_ps(half, erf, half)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(numbers: &[f32; LANES]) -> __m512 {
    // SAFETY: There are as many numbers as are read, and they need no alignment.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
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

/// Writes as many of the numbers as there is place for.
#[target_feature(enable = "avx512f")]
#[inline]
fn store_some(place: &mut [f32], numbers: __m512) {
    // SAFETY: What the mask does not have is not written, and it has none of what is not there.
    unsafe { _mm512_mask_storeu_ps(place.as_mut_ptr(), first_lanes(place.len()), numbers) };
}

/// A mask of the first lanes, of all for sixteen or more.
fn first_lanes(count: usize) -> u16 {
    if count < LANES { (1 << count) - 1 } else { u16::MAX }
}
