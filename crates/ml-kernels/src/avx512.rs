//! Products of floats with AVX-512, sixteen columns an instruction, and what other kernels with it share.
//!
//! A tile of up to six rows by four vectors of columns is kept in registers over the whole width: 24 sums, four vectors of
//! weights and one number of a row, of 32 registers.

use std::arch::x86_64::*;

use crate::float::Product;
use crate::gelu::{ABOVE, BELOW, LIMIT};
use crate::layout::{Floats, LANES};

/// Calls the form of a tile that is compiled for so many rows and vectors of columns, for a method of the proof that this machine has what
/// it is compiled for. No other sizes are made: see `TILE` and `PANEL`.
macro_rules! by_size {
    ($rows:expr, $vectors:expr, unsafe $tile:ident $arguments:tt) => {
        $crate::avx512::by_size!(@ $rows, $vectors, $tile $arguments, 1 2 3 4 5 6)
    };
    (@ $count:expr, $vectors:expr, $tile:ident $arguments:tt, $($rows:literal)*) => {
        match ($count, $vectors) {
            // SAFETY: The proof of the instructions is at hand where this is called.
            $(($rows, 1) => unsafe { $tile::<$rows, 1> $arguments },
            // SAFETY: As above.
            ($rows, 2) => unsafe { $tile::<$rows, 2> $arguments },
            // SAFETY: As above.
            ($rows, 3) => unsafe { $tile::<$rows, 3> $arguments },
            // SAFETY: As above.
            ($rows, 4) => unsafe { $tile::<$rows, 4> $arguments },)*
            _ => {}
        }
    };
}
pub(crate) use by_size;

/// The proof that this machine has the instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }

    /// Computes a tile of up to [`TILE`](crate::linear::TILE) rows.
    pub(crate) fn product(self, product: Product<'_>, places: &mut [&mut [f32]], first: usize) {
        // SAFETY: `self` exists, so that the machine has what the function is compiled for.
        by_size!(places.len(), product.bias.len(), unsafe tile(product, places, first));
    }
}

#[target_feature(enable = "avx512f")]
fn tile<const M: usize, const V: usize>(product: Product<'_>, places: &mut [&mut [f32]], first: usize) {
    let Some(bias) = product.bias.first_chunk::<V>() else { return };
    let mut first_sums = [_mm512_setzero_ps(); V];
    for (sum, bias) in first_sums.iter_mut().zip(bias) {
        *sum = load(bias);
    }
    let mut rows: [&[f32]; M] = [&[]; M];
    for (row, numbers) in rows.iter_mut().zip(product.rows.chunks_exact(product.width_in)) {
        *row = numbers;
    }
    let sums = add_products::<M, V>([first_sums; M], product.lines, rows, Some(product.ahead));
    for (place, sums) in places.iter_mut().zip(sums) {
        for (place, sum) in place[first..].chunks_mut(LANES).zip(sums) {
            store_some(place, if product.gelu { gelu(sum) } else { sum });
        }
    }
}

/// Adds the products of each row's numbers with as many times V vectors of weights, and meanwhile fetches a line for each number from
/// `ahead` on, where weights lie that are wanted next: else the first tile of each panel would wait for all of them.
///
/// Loops of known lengths over arrays, instead of closures: a closure that is not inlined, since what calls it is not compiled
/// for these instructions, would have all sums written to memory.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn add_products<const M: usize, const V: usize>(
    mut sums: [[__m512; V]; M],
    lines: &[Floats],
    mut rows: [&[f32]; M],
    ahead: Option<*const Floats>,
) -> [[__m512; V]; M] {
    let lines = lines.as_chunks::<V>().0;
    for row in &mut rows {
        *row = &row[..lines.len()];
    }
    for (at, lines) in lines.iter().enumerate() {
        if let Some(ahead) = ahead {
            // A hint reads nothing, wherever it points to.
            _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(at).cast());
        }
        let mut weights = [_mm512_setzero_ps(); V];
        for (weights, line) in weights.iter_mut().zip(lines) {
            *weights = load(line);
        }
        for (sums, row) in sums.iter_mut().zip(&rows) {
            // SAFETY: Each row was cut to as many numbers as there are times V lines, of which this is one. A check of it here
            // halves the speed: for the way out of it, sums are copied to other registers and to memory.
            let number = _mm512_set1_ps(unsafe { *row.get_unchecked(at) });
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_fmadd_ps(number, weights, *sum);
            }
        }
    }
    sums
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn gelu(x: __m512) -> __m512 {
    let limit = _mm512_set1_ps(LIMIT);
    let inner = _mm512_max_ps(_mm512_min_ps(x, limit), _mm512_set1_ps(-LIMIT));
    let square = _mm512_mul_ps(inner, inner);
    let (mut above, mut below) = (_mm512_set1_ps(ABOVE[0]), _mm512_set1_ps(BELOW[0]));
    for at in 1..ABOVE.len() {
        above = _mm512_fmadd_ps(above, square, _mm512_set1_ps(ABOVE[at]));
        below = _mm512_fmadd_ps(below, square, _mm512_set1_ps(BELOW[at]));
    }
    let erf = _mm512_div_ps(_mm512_mul_ps(inner, above), below);
    let half = _mm512_mul_ps(_mm512_set1_ps(0.5), x);
    _mm512_fmadd_ps(half, erf, half)
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn load(numbers: &Floats) -> __m512 {
    // SAFETY: There are as many numbers as are read, with their alignment.
    unsafe { _mm512_load_ps(numbers.0.as_ptr()) }
}

/// Writes as many of the numbers as there is place for.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn store_some(place: &mut [f32], numbers: __m512) {
    // SAFETY: What the mask does not have is not written, and it has none of what is not there.
    unsafe { _mm512_mask_storeu_ps(place.as_mut_ptr(), first_lanes(place.len()), numbers) };
}

/// A mask of the first lanes, of all for sixteen or more.
pub(crate) fn first_lanes(count: usize) -> u16 {
    if count < LANES { (1 << count) - 1 } else { u16::MAX }
}
