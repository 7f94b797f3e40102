//! Attention of texts that lie one after the other: each over its own tokens, without padding (ByteTransformer, Zhai et al., 2023).
//!
//! Sixteen queries are the lanes of vectors, so that nothing goes across lanes: not the sums of the products with keys, nor the
//! softmax over them, nor the sums of values. Keys and values are laid out in fours, as the loops read them. The same
//! source is compiled for plain machines and for those with AVX2, where only the innermost loop is written by hand, and gives the
//! same bits.

use std::cell::RefCell;
use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::avx2::Avx2;
use crate::layout::LANES;
use crate::linear::{LinearError, Path, size};

/// Keys, or columns of values, that are computed together.
pub(crate) const TOGETHER: usize = 4;

/// A number for each of sixteen queries.
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
            self.texts(texts, tokens, output, scratch, sums);
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
        scratch.fill(tokens, &columns);
        let some = LANES * tokens.width;
        for (queries, output) in tokens.queries.chunks(some).zip(output.chunks_mut(some)) {
            scratch.compare(queries, tokens.width, &columns, self.scale, sums);
            let shares = &mut scratch.shares[..length];
            let inverse = softmax(shares);
            let places = columns.clone().step_by(TOGETHER);
            for (first, values) in places.zip(scratch.values.chunks_exact(length)) {
                let sums = sums(values, shares);
                for (lane, row) in output.chunks_exact_mut(tokens.width).enumerate().take(LANES) {
                    let places = row[first..columns.end].iter_mut().zip(&sums);
                    places.for_each(|(place, sums)| *place = sums[lane] * inverse[lane]);
                }
            }
        }
    }
}

/// What a head of a text needs.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// For each four keys, the numbers of each column, zeros for keys that are not there.
    keys: Vec<[f32; TOGETHER]>,
    /// For each four columns, the numbers of each value, zeros for columns that are not there.
    values: Vec<[f32; TOGETHER]>,
    /// For each column, the numbers of sixteen queries.
    queries: Vec<Lanes>,
    /// For each key, what sixteen queries have to do with it.
    shares: Vec<Lanes>,
}

thread_local! {
    /// One attention is computed by a thread at a time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    #[inline(always)]
    fn fill(&mut self, tokens: &Tokens<'_>, columns: &Range<usize>) {
        let length = tokens.keys.len() / tokens.width;
        self.keys.clear();
        self.keys.resize(length.div_ceil(TOGETHER) * columns.len(), [0.0; TOGETHER]);
        let fours = tokens.keys.chunks(TOGETHER * tokens.width);
        for (keys, rows) in self.keys.chunks_exact_mut(columns.len()).zip(fours) {
            for (at, row) in rows.chunks_exact(tokens.width).enumerate() {
                keys.iter_mut()
                    .zip(&row[columns.clone()])
                    .for_each(|(numbers, number)| numbers[at] = *number);
            }
        }
        self.values.clear();
        self.values.resize(columns.len().div_ceil(TOGETHER) * length, [0.0; TOGETHER]);
        for (values, first) in self.values.chunks_exact_mut(length).zip(columns.clone().step_by(TOGETHER)) {
            for (numbers, row) in values.iter_mut().zip(tokens.values.chunks_exact(tokens.width)) {
                match row[first..columns.end].first_chunk() {
                    Some(four) => *numbers = *four,
                    None => {
                        numbers
                            .iter_mut()
                            .zip(&row[first..columns.end])
                            .for_each(|(place, number)| *place = *number);
                    }
                }
            }
        }
    }

    /// Multiplies up to sixteen queries with all keys.
    #[inline(always)]
    fn compare(
        &mut self,
        queries: &[f32],
        width: usize,
        columns: &Range<usize>,
        scale: f32,
        sums: impl Sums,
    ) {
        self.queries.clear();
        self.queries.resize(columns.len(), [0.0; LANES]);
        for (lane, row) in queries.chunks_exact(width).enumerate().take(LANES) {
            let numbers = self.queries.iter_mut().zip(&row[columns.clone()]);
            numbers.for_each(|(lanes, number)| lanes[lane] = number * scale);
        }
        self.shares.clear();
        for keys in self.keys.chunks_exact(columns.len()) {
            self.shares.extend(sums(keys, &self.queries));
        }
    }
}

/// What sums up the products of four numbers with a vector each.
pub(crate) trait Sums: Fn(&[[f32; TOGETHER]], &[Lanes]) -> [Lanes; TOGETHER] + Copy {}

impl<F: Fn(&[[f32; TOGETHER]], &[Lanes]) -> [Lanes; TOGETHER] + Copy> Sums for F {}

#[inline(always)]
fn sums(numbers: &[[f32; TOGETHER]], vectors: &[Lanes]) -> [Lanes; TOGETHER] {
    let mut sums = [[0.0; LANES]; TOGETHER];
    for (numbers, vector) in numbers.iter().zip(vectors) {
        for (sums, number) in sums.iter_mut().zip(numbers) {
            add_product(sums, *number, vector);
        }
    }
    sums
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
