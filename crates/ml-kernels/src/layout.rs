//! How weights and rows lie in memory: in the order in which products read them.

use std::ops::Range;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::memory::Room;

/// The lanes of a vector of 32-bit numbers.
pub(crate) const LANES: usize = 16;

/// Weights of one column whose products one instruction adds up.
pub(crate) const GROUP: usize = 4;

/// The most vectors of columns that are computed together.
const VECTORS_MAX: usize = 4;

/// The most columns that are computed together.
pub(crate) const PANEL: usize = LANES * VECTORS_MAX;

/// As much as a vector holds: a group of rows of sixteen columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [[i8; GROUP]; LANES]);

/// As much as a vector holds: numbers of sixteen columns.
#[derive(Debug, Clone, Copy, PartialEq, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Floats(pub(crate) [f32; LANES]);

impl Floats {
    /// The numbers of sixteen columns from the first, with zeros where there are none.
    pub(crate) fn of(columns: usize, first: usize, number: impl Fn(usize) -> f32) -> Self {
        Self(lanes(columns, first, number))
    }
}

/// Columns that are computed together, filled up with zeros to whole vectors.
#[derive(Debug)]
pub(crate) struct Panel {
    /// The columns without those added.
    pub(crate) columns: usize,
    /// Of the layer's lines: for each group of rows a line for each vector of columns.
    pub(crate) lines: Range<usize>,
    /// Of each column.
    pub(crate) finish: Vec<Finish>,
    /// For each column of outliers, weights of each vector of columns.
    pub(crate) outliers: Vec<Floats>,
}

/// What makes floats of a vector's sums.
#[derive(Debug)]
pub(crate) struct Finish {
    /// The sum of each column's weights, which a row's zero was multiplied with.
    pub(crate) sums: [i32; LANES],
    pub(crate) scales: Floats,
    pub(crate) bias: Floats,
}

impl Panel {
    /// Packs columns of a matrix with so many `rows`, of which the functions know the numbers by row and column; the lines come after
    /// those that are there.
    pub(crate) fn new(
        all: &mut Room<Line>,
        (rows, outliers): (usize, usize),
        columns: usize,
        weight: impl Fn(usize, usize) -> i8,
        outlier_weight: impl Fn(usize, usize) -> f32,
        (scales, bias): (&[f32], &[f32]),
    ) -> Self {
        let vectors = || (0..columns).step_by(LANES);
        let line = |group: usize, first: usize| {
            let number = |row, column| if row < rows && column < columns { weight(row, column) } else { 0 };
            Line(std::array::from_fn(|lane| {
                std::array::from_fn(|part| number(group * GROUP + part, first + lane))
            }))
        };
        let sum = |column| (0..rows).map(|row| i32::from(weight(row, column))).sum();
        let finish = |first: usize| Finish {
            sums: lanes(columns, first, sum),
            scales: Floats::of(columns, first, |column| scales[column]),
            bias: Floats::of(columns, first, |column| bias.get(column).copied().unwrap_or(0.0)),
        };
        let groups = rows.div_ceil(GROUP);
        let before = all.len();
        for group in 0..groups {
            all.extend(vectors().map(|first| line(group, first)));
        }
        let outliers = (0..outliers).flat_map(|row| vectors().map(move |first| (row, first)));
        Self {
            columns,
            lines: before..all.len(),
            finish: vectors().map(finish).collect(),
            outliers: outliers
                .map(|(row, first)| Floats::of(columns, first, |column| outlier_weight(row, column)))
                .collect(),
        }
    }
}

/// The numbers of sixteen columns from the first, with zeros where there are none.
fn lanes<T: Default>(columns: usize, first: usize, number: impl Fn(usize) -> T) -> [T; LANES] {
    std::array::from_fn(|lane| if first + lane < columns { number(first + lane) } else { T::default() })
}

/// Where to take the largest and smallest number of a row, and what stands in for the columns of outliers: of each sixteen columns
/// a bit for each that is quantised.
pub(crate) fn masks(is_outlier: &[bool]) -> Vec<u16> {
    let mask = |columns: &[bool]| {
        let bits = columns.iter().enumerate().map(|(lane, is_outlier)| u16::from(!is_outlier) << lane);
        bits.fold(0, |mask, bit| mask | bit)
    };
    is_outlier.chunks(LANES).map(mask).collect()
}
