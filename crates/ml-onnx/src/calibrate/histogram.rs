//! How often numbers of each size occur, and the range that is worth holding.

use ndarray::ArrayView2;

const BINS: usize = 4096;

/// The levels of the integers that a range is held in, on the side of zero that entropy looks at.
const LEVELS: usize = 128;

/// How the range that integers hold is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RangeMethod {
    /// All numbers that occurred.
    MinMax,
    /// All but the outermost: of 100 numbers so many lie at or below the upper end, and at or above the lower one.
    Percentile(f64),
    /// The range whose integers tell most about the numbers: least Kullback-Leibler divergence, as in TensorRT (Migacz, 2017).
    Entropy,
}

/// Counts of numbers between two ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    low: f32,
    high: f32,
    counts: Vec<u64>,
}

impl Histogram {
    /// Begins with nothing counted, between ends that a first run has found.
    pub fn new((low, high): (f32, f32)) -> Self {
        Self { low, high, counts: vec![0; BINS] }
    }

    /// Counts the numbers of rows, but for columns that are left out (in ascending order).
    pub fn add(&mut self, rows: ArrayView2<'_, f32>, without: &[usize]) {
        let scale = BINS as f32 / (self.high - self.low).max(f32::MIN_POSITIVE);
        for row in rows.outer_iter() {
            for (at, number) in row.iter().enumerate() {
                if without.binary_search(&at).is_err() {
                    let bin = ((number - self.low) * scale) as usize;
                    self.counts[bin.min(BINS - 1)] += 1;
                }
            }
        }
    }

    /// Returns the ends of the range.
    pub fn range(&self, method: RangeMethod) -> (f32, f32) {
        match method {
            RangeMethod::MinMax => (self.low, self.high),
            RangeMethod::Percentile(percent) => self.percentile(percent),
            RangeMethod::Entropy => self.entropy(),
        }
    }

    fn end(&self, bins: usize) -> f32 {
        self.low + (self.high - self.low) * bins as f32 / BINS as f32
    }

    fn percentile(&self, percent: f64) -> (f32, f32) {
        let all: u64 = self.counts.iter().sum();
        let outside = (all as f64 * (1.0 - percent / 100.0)) as u64;
        let skipped = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut seen = 0;
            counts
                .take_while(|count| {
                    seen += **count;
                    seen <= outside
                })
                .count()
        };
        let from_low = skipped(&mut self.counts.iter());
        let from_high = skipped(&mut self.counts.iter().rev());
        if from_low + from_high >= BINS {
            return (self.low, self.high);
        }
        (self.end(from_low), self.end(BINS - from_high))
    }

    /// Looks at the sizes of numbers, whatever their sign, and gives a range that is the same on both sides.
    fn entropy(&self) -> (f32, f32) {
        let largest = self.high.max(-self.low).max(f32::MIN_POSITIVE);
        let mut sizes = vec![0.0_f64; BINS / 2];
        for (bin, count) in self.counts.iter().enumerate() {
            let middle = f32::midpoint(self.end(bin), self.end(bin + 1)).abs();
            let at = (middle / largest * sizes.len() as f32) as usize;
            sizes[at.min(BINS / 2 - 1)] += *count as f64;
        }
        let ends = (LEVELS..=sizes.len()).step_by(8);
        let best = ends.min_by(|&one, &other| divergence(&sizes, one).total_cmp(&divergence(&sizes, other)));
        let end = largest * best.unwrap_or(sizes.len()) as f32 / sizes.len() as f32;
        (self.low.max(-end), self.high.min(end))
    }
}

/// The divergence of what integers say from what was counted, when the range ends after `end` bins.
fn divergence(sizes: &[f64], end: usize) -> f64 {
    let (kept, beyond) = sizes.split_at(end);
    let mut counted = kept.to_vec();
    // What is beyond the range becomes its end.
    counted[end - 1] += beyond.iter().sum::<f64>();
    let mut told = vec![0.0; end];
    for level in 0..LEVELS {
        let bins = level * end / LEVELS..(level + 1) * end / LEVELS;
        let filled = kept[bins.clone()].iter().filter(|count| **count > 0.0).count();
        let each = kept[bins.clone()].iter().sum::<f64>() / filled.max(1) as f64;
        for bin in bins.filter(|&bin| kept[bin] > 0.0) {
            told[bin] = each;
        }
    }
    let (all_counted, all_told) = (counted.iter().sum::<f64>(), told.iter().sum::<f64>());
    if all_told == 0.0 {
        return f64::INFINITY;
    }
    let term = |(counted, told): (&f64, &f64)| {
        let (counted, told) = (counted / all_counted, told / all_told);
        // A bin that integers say nothing about costs as much as a very rare one.
        if counted > 0.0 { counted * (counted / told.max(1e-12)).ln() } else { 0.0 }
    };
    counted.iter().zip(&told).map(term).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    /// Ten thousand numbers between −1 and 1, and one at 50.
    fn histogram() -> Histogram {
        let mut numbers: Vec<f32> =
            (0..10_000).map(|at| (at as f32 / 10_000.0 * std::f32::consts::TAU).sin()).collect();
        numbers.push(50.0);
        let rows = Array2::from_shape_vec((numbers.len(), 1), numbers).unwrap();
        let mut histogram = Histogram::new((-1.0, 50.0));
        histogram.add(rows.view(), &[]);
        histogram
    }

    #[test]
    fn the_range_is_all_or_without_the_outermost() {
        let histogram = histogram();
        assert_eq!(histogram.range(RangeMethod::MinMax), (-1.0, 50.0));
        assert_eq!(histogram.range(RangeMethod::Percentile(100.0)), (-1.0, 50.0));
        for method in [RangeMethod::Percentile(99.9), RangeMethod::Entropy] {
            let (low, high) = histogram.range(method);
            assert!((-1.0..-0.9).contains(&low) && (0.9..3.2).contains(&high), "{method:?}: {low} to {high}");
        }
    }

    #[test]
    fn columns_that_are_left_out_are_not_counted() {
        let rows = ndarray::array![[0.5_f32, 50.0], [-0.5, 50.0]];
        let mut histogram = Histogram::new((-0.5, 0.5));
        histogram.add(rows.view(), &[1]);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 2);
    }
}
