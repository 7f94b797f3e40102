//! The products in plain Rust, for machines without VNNI: the same to the bit, only slower.

use crate::float::Product;
use crate::gelu::gelu;
use crate::layout::{Finish, GROUP, LANES, Line, Panel};
use crate::linear::Block;
use crate::rows::{LARGEST, Rows, Scale};

/// Quantises a row: the columns that the masks have.
pub(crate) fn quantise(floats: &[f32], masks: &[u16], rows: &mut Rows, row: usize) {
    let numbers = || {
        let masked = floats.iter().enumerate();
        masked.map(|(at, number)| if masks[at / LANES] >> (at % LANES) & 1 == 1 { *number } else { 0.0 })
    };
    let (low, high) = numbers().fold((0.0_f32, 0.0_f32), |(low, high), x| (low.min(x), high.max(x)));
    let scale = Scale::of(low, high);
    rows.set(row, scale, numbers().all(|number| !number.is_nan()));
    let integers = &mut rows.integers[row * rows.stride..][..rows.stride];
    let padded = numbers().chain(std::iter::repeat(0.0));
    for (integer, number) in integers.iter_mut().zip(padded) {
        *integer = number.mul_add(scale.inverse, scale.zero).clamp(0.0, LARGEST).round_ties_even() as u8;
    }
}

/// Multiplies some rows with a panel.
pub(crate) fn product(panel: &Panel, block: &Block<'_>, first: usize, count: usize, out: &mut [f32]) {
    for (row, out) in (first..first + count).zip(out.chunks_mut(block.stride_out)) {
        for (vector, finish) in panel.finish.iter().enumerate() {
            let sums = sums(panel, &block.lines[panel.lines.clone()], vector, block.integers(row));
            let floats: [f32; LANES] = std::array::from_fn(|lane| {
                let number = finished(finish, lane, sums[lane], block, row);
                let weights = panel.outliers.iter().skip(vector).step_by(panel.finish.len());
                let outliers = block.outliers(row).iter().zip(weights);
                let number =
                    outliers.fold(number, |sum, (outlier, weights)| outlier.mul_add(weights.0[lane], sum));
                if block.gelu { gelu(number) } else { number }
            });
            let end = panel.columns.min((vector + 1) * LANES);
            out[vector * LANES..end].copy_from_slice(&floats[..end - vector * LANES]);
        }
    }
}

fn sums(panel: &Panel, lines: &[Line], vector: usize, integers: &[u8]) -> [i32; LANES] {
    let mut sums = [0; LANES];
    let (groups, _) = integers.as_chunks::<GROUP>();
    for (group, line) in groups.iter().zip(lines.iter().skip(vector).step_by(panel.finish.len())) {
        for (sum, weights) in sums.iter_mut().zip(&line.0) {
            *sum += group.iter().zip(weights).map(|(x, w)| i32::from(*x) * i32::from(*w)).sum::<i32>();
        }
    }
    sums
}

fn finished(finish: &Finish, lane: usize, sum: i32, block: &Block<'_>, row: usize) -> f32 {
    let sum = sum - block.rows.zeros[row] * finish.sums[lane];
    (sum as f32 * finish.scales.0[lane]).mul_add(block.rows.scales[row], finish.bias.0[lane])
}

/// Multiplies a row for each place with a panel of floats.
pub(crate) fn float_product(product: Product<'_>, places: &mut [&mut [f32]], first: usize) {
    let vectors = product.bias.len();
    for (row, place) in product.rows.chunks_exact(product.width_in).zip(places) {
        for (vector, (bias, place)) in product.bias.iter().zip(place[first..].chunks_mut(LANES)).enumerate() {
            let lines = product.lines.iter().skip(vector).step_by(vectors);
            for (lane, place) in place.iter_mut().enumerate() {
                let numbers = row.iter().zip(lines.clone());
                let sum = numbers.fold(bias.0[lane], |sum, (number, line)| number.mul_add(line.0[lane], sum));
                *place = if product.gelu { gelu(sum) } else { sum };
            }
        }
    }
}
