//! Attention of texts that lie one after the other: each over its own tokens, without padding (ByteTransformer, Zhai et al., 2023).
//!
//! Sixteen queries are the lanes of vectors while they are compared with keys, and sixteen columns are while values are summed up, so
//! that nothing goes across lanes: neither sums nor the softmax. Keys, values and the output are read and written where they
//! lie; only queries are turned. The same source is compiled for plain machines and for those with AVX2, where only the innermost
//! loop is written by hand, and gives the same bits.

use std::cell::RefCell;
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::avx2::Avx2;
use crate::layout::LANES;
use crate::linear::{LinearError, Path, size};

/// Keys, or queries, that are computed together.
pub(crate) const TOGETHER: usize = 4;

/// A number for each of sixteen queries or columns.
pub(crate) type Lanes = [f32; LANES];

/// Attention with several heads: `softmax(scale · q · kᵀ) · v`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Heads; a row has as many parts of the same width.
    pub heads: usize,
    /// What the products of queries and keys are multiplied with.
    pub scale: f32,
    /// What computes.
    pub path: Path,
}

/// The rows of all tokens, each of the same width.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// Queries.
    pub queries: &'a [f32],
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// Numbers of a row.
    pub width: usize,
}

impl Attention {
    /// Computes what comes of the tokens of some texts, whose lengths are given.
    ///
    /// What comes of a text depends on nothing but that text: it is the same to the bit whatever else is there.
    ///
    /// # Errors
    /// When the rows are not of so many heads, or there are not as many as the texts have tokens.
    pub fn run(&self, texts: &[usize], tokens: &Tokens<'_>, output: &mut [f32]) -> Result<(), LinearError> {
        let Tokens { queries, keys, values, width } = *tokens;
        let count = texts.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
        let numbers = count.unwrap_or(usize::MAX).saturating_mul(width);
        for (part, found) in [
            ("numbers of queries", queries.len()),
            ("numbers of keys", keys.len()),
            ("numbers of values", values.len()),
            ("numbers of the output", output.len()),
        ] {
            size(part, found, numbers)?;
        }
        let head = width.checked_div(self.heads).unwrap_or(0);
        size("numbers of all heads", head * self.heads, width)?;
        if numbers == 0 {
            return Ok(());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            #[cfg(target_arch = "x86_64")]
            if let (Path::Fastest, Some(avx2)) = (self.path, Avx2::detect()) {
                avx2.attention(self, texts, tokens, output, scratch);
                return;
            }
            self.texts(texts, tokens, output, scratch, Plain);
        });
        Ok(())
    }

    /// All texts, one after the other. What calls it decides which instructions it is compiled for.
    #[inline(always)]
    pub(crate) fn texts(
        &self,
        texts: &[usize],
        tokens: &Tokens<'_>,
        output: &mut [f32],
        scratch: &mut Scratch,
        sums: impl Sums,
    ) {
        let mut first = 0;
        for &length in texts {
            let place = first * tokens.width..(first + length) * tokens.width;
            let own = Tokens {
                queries: &tokens.queries[place.clone()],
                keys: &tokens.keys[place.clone()],
                values: &tokens.values[place.clone()],
                width: tokens.width,
            };
            first += length;
            if length == 0 {
                continue;
            }
            // Neither is zero, or there would be no numbers.
            let head = tokens.width / self.heads.max(1);
            for at in (0..tokens.width).step_by(head.max(1)) {
                self.head(length, &own, at..at + head, &mut output[place.clone()], scratch, sums);
            }
        }
    }

    #[inline(always)]
    fn head(
        &self,
        length: usize,
        tokens: &Tokens<'_>,
        columns: Range<usize>,
        output: &mut [f32],
        scratch: &mut Scratch,
        sums: impl Sums,
    ) {
        scratch.pad(tokens, columns.end - columns.len() % LANES..columns.end);
        let some = LANES * tokens.width;
        for (queries, output) in tokens.queries.chunks(some).zip(output.chunks_mut(some)) {
            scratch.turn(queries, tokens.width, &columns, self.scale);
            scratch.compare(length, tokens, &columns, sums);
            let shares = &mut scratch.shares[..length];
            let inverse = softmax(shares);
            for first in columns.clone().step_by(LANES) {
                let block = first..columns.end.min(first + LANES);
                let values = if block.len() == LANES {
                    Values { rows: tokens.values, width: tokens.width, first }
                } else {
                    Values { rows: &scratch.values, width: LANES, first: 0 }
                };
                add_up(shares, values, &inverse, (&mut *output, tokens.width), &block, sums);
            }
        }
    }
}

/// Rows of values, of which sixteen columns from the first are read.
#[derive(Clone, Copy)]
struct Values<'a> {
    rows: &'a [f32],
    width: usize,
    first: usize,
}

/// Sums up what queries have of values, four queries and sixteen columns at a time, and writes it into rows of so many numbers.
#[inline(always)]
fn add_up(
    shares: &[Lanes],
    values: Values<'_>,
    inverse: &Lanes,
    (output, width): (&mut [f32], usize),
    columns: &Range<usize>,
    sums: impl Sums,
) {
    let fours = inverse.chunks_exact(TOGETHER).zip(output.chunks_mut(TOGETHER * width));
    for (four, (inverse, rows)) in fours.enumerate() {
        let shares = shares.iter().map(|lanes| lanes.as_chunks::<TOGETHER>().0[four]);
        let values = values.rows.chunks_exact(values.width).map(|row| row[values.first..].first_chunk());
        let sums = sums.sums(shares.zip(values.map(|values| values.unwrap_or(&[0.0; LANES]))));
        for ((sums, inverse), row) in sums.iter().zip(inverse).zip(rows.chunks_exact_mut(width)) {
            let places = row[columns.clone()].iter_mut().zip(sums);
            places.for_each(|(place, sum)| *place = sum * inverse);
        }
    }
}

/// What a head of a text needs.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// For each column, the numbers of sixteen queries.
    queries: Vec<Lanes>,
    /// For each key, what sixteen queries have to do with it.
    shares: Vec<Lanes>,
    /// Of each value, the last columns where they do not fill a vector, with zeros for those that are not there.
    values: Vec<f32>,
}

thread_local! {
    /// One attention is computed by a thread at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Copies the columns of values that do not fill a vector.
    #[inline(always)]
    fn pad(&mut self, tokens: &Tokens<'_>, columns: Range<usize>) {
        self.values.clear();
        if columns.is_empty() {
            return;
        }
        for row in tokens.values.chunks_exact(tokens.width) {
            self.values.extend(&row[columns.clone()]);
            self.values.resize(self.values.len().next_multiple_of(LANES), 0.0);
        }
    }

    /// Turns up to sixteen queries into lanes. In lanes without one stays what was there, which nobody reads.
    #[inline(always)]
    fn turn(&mut self, queries: &[f32], width: usize, columns: &Range<usize>, scale: f32) {
        self.queries.resize(columns.len(), [0.0; LANES]);
        for (lane, row) in queries.chunks_exact(width).enumerate().take(LANES) {
            let numbers = self.queries.iter_mut().zip(&row[columns.clone()]);
            numbers.for_each(|(lanes, number)| lanes[lane] = number * scale);
        }
    }

    /// Multiplies sixteen queries with all keys. The last key stands in for those that are missing of its four.
    #[inline(always)]
    fn compare(&mut self, length: usize, tokens: &Tokens<'_>, columns: &Range<usize>, sums: impl Sums) {
        self.shares.resize(length.next_multiple_of(TOGETHER), [0.0; LANES]);
        for (four, shares) in self.shares.chunks_exact_mut(TOGETHER).enumerate() {
            let key = |at: usize| {
                let row = tokens.width * (four * TOGETHER + at).min(length - 1);
                &tokens.keys[row..][columns.clone()]
            };
            let (first, second) = (key(0).iter().zip(key(1)), key(2).iter().zip(key(3)));
            let keys = first.zip(second).map(|((a, b), (c, d))| [*a, *b, *c, *d]);
            shares.copy_from_slice(&sums.sums(keys.zip(&self.queries)));
        }
    }
}

/// What sums up the products of four numbers with a vector each.
pub(crate) trait Sums: Copy {
    fn sums<'a>(self, pairs: impl Iterator<Item = ([f32; TOGETHER], &'a Lanes)>) -> [Lanes; TOGETHER];
}

/// As the compiler makes it of a plain loop.
#[derive(Clone, Copy)]
struct Plain;

impl Sums for Plain {
    #[inline(always)]
    fn sums<'a>(self, pairs: impl Iterator<Item = ([f32; TOGETHER], &'a Lanes)>) -> [Lanes; TOGETHER] {
        let mut sums = [[0.0; LANES]; TOGETHER];
        for (numbers, vector) in pairs {
            for (sums, number) in sums.iter_mut().zip(numbers) {
                add_product(sums, number, vector);
            }
        }
        sums
    }
}

#[inline(always)]
fn add_product(sums: &mut Lanes, number: f32, vector: &Lanes) {
    for (sum, lane) in sums.iter_mut().zip(vector) {
        *sum = number.mul_add(*lane, *sum);
    }
}

/// Makes `exp(x − largest)` of the numbers of each query; returns what they are to be multiplied with to be one together.
#[inline(always)]
fn softmax(shares: &mut [Lanes]) -> Lanes {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for vector in shares.iter() {
        for (largest, number) in largest.iter_mut().zip(vector) {
            *largest = if number > largest { *number } else { *largest };
        }
    }
    let mut sums = [0.0; LANES];
    for vector in shares.iter_mut() {
        for ((sum, number), largest) in sums.iter_mut().zip(vector).zip(&largest) {
            *number = exp(*number - largest);
            *sum += *number;
        }
    }
    sums.map(|sum| 1.0 / sum)
}

/// `exp(x)` of x ≤ 0, to 2e-7 of it; below −87, where the smallest floats are, what it is there.
///
/// The power of two is taken out by adding a number so large that its last digit is one, and the rest, at most half of ln 2, is the
/// beginning of its series.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const DIGIT: f32 = 12_582_912.0;
    const LN_2_ABOVE: f32 = 0.693_359_4;
    const LN_2_BELOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 {
        x
    } else if x.is_nan() {
        return x;
    } else {
        -87.0
    };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, DIGIT);
    let power = shifted - DIGIT;
    let rest = power.mul_add(-LN_2_BELOW, power.mul_add(-LN_2_ABOVE, x));
    let mut sum = 1.0 / 720.0;
    for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = rest.mul_add(sum, coefficient);
    }
    sum * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}
