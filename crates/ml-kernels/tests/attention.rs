//! Attention against the same in exact numbers, one path against the other, a text alone against the text among others.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use ml_kernels::{Attention, Path, Tokens};

/// Numbers that repeat after a long while.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729) % 2003) as f32 / 500.0 - 2.0).collect()
}

fn run(path: Path, heads: usize, texts: &[usize], rows: &[Vec<f32>; 3], width: usize) -> Vec<f32> {
    let attention = Attention { heads, scale: 0.3, path };
    let [queries, keys, values] = rows;
    let mut output = vec![7.0; queries.len()];
    attention.run(texts, &Tokens { queries, keys, values, width }, &mut output).unwrap();
    output
}

/// What comes of a token in exact numbers.
fn exact(
    rows: &[Vec<f32>; 3],
    width: usize,
    (first, length): (usize, usize),
    token: usize,
    head: std::ops::Range<usize>,
) -> Vec<f64> {
    let row = |kind: usize, token: usize| &rows[kind][token * width..][head.clone()];
    let product = |other: usize| {
        let pairs = row(0, token).iter().zip(row(1, other));
        0.3 * pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>()
    };
    let shares: Vec<f64> = (first..first + length).map(|other| product(other).exp()).collect();
    let all: f64 = shares.iter().sum();
    let part = |at: usize| {
        let values = (first..first + length).map(|other| f64::from(row(2, other)[at]));
        values.zip(&shares).map(|(value, share)| value * share / all).sum()
    };
    (0..head.len()).map(part).collect()
}

#[test]
fn it_is_softmax_of_products_text_by_text() {
    for (heads, head) in [(1, 1), (2, 16), (3, 5), (2, 32), (1, 40)] {
        let width = heads * head;
        for texts in [&[][..], &[1], &[3, 1, 16], &[17, 0, 33, 2]] {
            let count: usize = texts.iter().sum();
            let rows = [1, 2, 3].map(|seed| numbers(count * width, seed));
            let output = run(Path::Fastest, heads, texts, &rows, width);
            assert_eq!(
                output,
                run(Path::Portable, heads, texts, &rows, width),
                "{heads} × {head}, {texts:?}"
            );
            let mut first = 0;
            for &length in texts {
                for token in first..first + length {
                    for at in 0..heads {
                        let columns = at * head..(at + 1) * head;
                        let expected = exact(&rows, width, (first, length), token, columns.clone());
                        for (found, expected) in output[token * width..][columns].iter().zip(expected) {
                            assert!((f64::from(*found) - expected).abs() < 2e-5, "{found} {expected}");
                        }
                    }
                }
                first += length;
            }
        }
    }
}

#[test]
fn a_text_is_the_same_alone_and_among_others() {
    let (heads, width, texts) = (2, 64, [5, 30, 1, 19]);
    let rows = [1, 2, 3].map(|seed| numbers(55 * width, seed));
    let together = run(Path::Fastest, heads, &texts, &rows, width);
    let mut first = 0;
    for length in texts {
        let place = first * width..(first + length) * width;
        let own = [0, 1, 2].map(|kind| rows[kind][place.clone()].to_vec());
        assert_eq!(run(Path::Fastest, heads, &[length], &own, width), together[place]);
        first += length;
    }
}

#[test]
fn large_numbers_and_no_numbers_stay_in_their_text() {
    for path in [Path::Fastest, Path::Portable] {
        let mut rows = [1, 2, 3].map(|seed| numbers(6, seed));
        rows[0][0] = 1e30;
        rows[1][1] = f32::NAN;
        // Of three texts of two tokens, one number wide, the first has both.
        let output = run(path, 1, &[2, 2, 2], &rows, 1);
        assert!(output[0].is_nan() && output[1].is_nan(), "{output:?}");
        assert!(output[2..].iter().all(|number| number.is_finite()), "{output:?}");
        rows[1][1] = 0.5;
        assert!(run(path, 1, &[2, 2, 2], &rows, 1).iter().all(|number| number.is_finite()));
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let run = |heads, texts: &[usize], numbers: usize, output: usize| {
        let rows = vec![0.0; numbers];
        let tokens = Tokens { queries: &rows, keys: &rows, values: &rows, width: 6 };
        let result =
            Attention { heads, scale: 1.0, path: Path::Fastest }.run(texts, &tokens, &mut vec![0.0; output]);
        result.map_err(|error| error.to_string())
    };
    assert_eq!(run(2, &[1, 2], 18, 18), Ok(()));
    assert_eq!(run(2, &[1, 3], 18, 18).unwrap_err(), "there are 18 numbers of queries, not 24");
    assert_eq!(run(2, &[3], 18, 12).unwrap_err(), "there are 12 numbers of the output, not 18");
    assert_eq!(run(4, &[3], 18, 18).unwrap_err(), "there are 4 numbers of all heads, not 6");
    assert_eq!(run(0, &[3], 18, 18).unwrap_err(), "there are 0 numbers of all heads, not 6");
    assert!(run(2, &[usize::MAX, 2], 18, 18).is_err());
}
