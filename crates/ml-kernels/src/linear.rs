//! A linear layer in int8: what callers give and get, and the order of the work.

use std::cell::RefCell;

use crate::layout::{GROUP, LANES, Line, PANEL, Panel, masks};
use crate::memory::{Arena, Packed, Room};
use crate::portable;
use crate::rows::Rows;
#[cfg(target_arch = "x86_64")]
use crate::vnni::Vnni;

/// Rows that are quantised before they are multiplied: their integers stay in a core's own cache, and each panel of weights
/// is read so many times fewer.
const BLOCK: usize = 96;

/// The most rows of a tile.
pub(crate) const TILE: usize = 6;

/// The widest row whose sums of products of integers surely fit into 32 bits.
const WIDTH_MAX: usize = i32::MAX as usize / (255 * 128);

/// What is done with each number in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `x · Φ(x)`, with the error function.
    Gelu,
}

/// What a layer is made of: `x · weights + bias`, where the weights are integers but for the rows of outliers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts<'a> {
    /// Numbers of an input row.
    pub width_in: usize,
    /// Numbers of each output's row; several outputs lie beside each other in the matrix.
    pub widths_out: &'a [usize],
    /// The matrix, a row of all outputs' columns for each number of an input row. Rows of outliers count for nothing.
    pub weights: &'a [i8],
    /// What each column's integers are multiplied with.
    pub scales: &'a [f32],
    /// What is added to each column; may be empty.
    pub bias: &'a [f32],
    /// The columns of an input that are multiplied in floats.
    pub outliers: &'a [usize],
    /// For each outlier a row of all outputs' columns.
    pub outlier_weights: &'a [f32],
    /// What is done with each number in the end.
    pub activation: Activation,
}

/// A linear layer whose weights are packed for the products of this machine.
#[derive(Debug)]
pub struct Int8Linear {
    width_in: usize,
    widths_out: Vec<usize>,
    masks: Vec<u16>,
    outliers: Vec<usize>,
    /// Of each output.
    panels: Vec<Vec<Panel>>,
    /// All weights.
    lines: Packed<Line>,
    activation: Activation,
    path: Path,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Plain Rust.
    Portable,
    /// The fastest that this machine has.
    Fastest,
}

/// Parts, rows or outputs that do not fit to each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinearError {
    /// A part of a layer has another size than the others ask for.
    #[error("there are {found} {part}, not {expected}")]
    Size {
        /// Of what.
        part: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A layer without numbers.
    #[error("a layer of {width_in} x {width_out} numbers computes nothing")]
    Empty {
        /// Numbers of an input row.
        width_in: usize,
        /// Numbers of an output row.
        width_out: usize,
    },
    /// Sums over such a row could be larger than 32-bit integers.
    #[error("rows of {width} numbers are wider than {WIDTH_MAX}")]
    TooWide {
        /// The width.
        width: usize,
    },
    /// A column of outliers that the input does not have.
    #[error("there is no column {column} in rows of {width} numbers")]
    NoColumn {
        /// The column.
        column: usize,
        /// The width.
        width: usize,
    },
}

/// Quantised rows, and what is done with their products.
pub(crate) struct Block<'a> {
    pub(crate) rows: &'a Rows,
    /// The layer's weights.
    pub(crate) lines: &'a [Line],
    /// Outliers of each row.
    pub(crate) outliers: usize,
    pub(crate) gelu: bool,
    /// From a row of the output to the next.
    pub(crate) stride_out: usize,
}

impl Block<'_> {
    pub(crate) fn integers(&self, row: usize) -> &[u8] {
        &self.rows.integers[row * self.rows.stride..][..self.rows.stride]
    }

    pub(crate) fn outliers(&self, row: usize) -> &[f32] {
        &self.rows.outliers[row * self.outliers..][..self.outliers]
    }
}

impl Int8Linear {
    /// Packs a layer into memory of its own.
    ///
    /// # Errors
    /// See [`Self::new_in`].
    pub fn new(parts: &Parts<'_>) -> Result<Self, LinearError> {
        Self::new_in(parts, &mut Arena::default())
    }

    /// Packs a layer.
    ///
    /// # Errors
    /// When the sizes of the parts do not agree, or a row is too wide.
    pub fn new_in(parts: &Parts<'_>, arena: &mut Arena) -> Result<Self, LinearError> {
        parts.check()?;
        let mut is_outlier = vec![false; parts.width_in];
        parts.outliers.iter().for_each(|&column| is_outlier[column] = true);
        let vectors: usize = parts.widths_out.iter().map(|width| width.div_ceil(LANES)).sum();
        let mut lines = arena.room(parts.width_in.div_ceil(GROUP) * vectors);
        let (mut panels, mut first) = (Vec::new(), 0);
        for width in parts.widths_out {
            let places = (0..*width).step_by(PANEL);
            let panel = |at| parts.panel(&mut lines, &is_outlier, first + at, PANEL.min(width - at));
            panels.push(places.map(panel).collect());
            first += width;
        }
        Ok(Self {
            width_in: parts.width_in,
            panels,
            lines: lines.packed(),
            widths_out: parts.widths_out.to_vec(),
            masks: masks(&is_outlier),
            outliers: parts.outliers.to_vec(),
            activation: parts.activation,
            path: Path::Fastest,
        })
    }

    /// Returns the layer as that path computes it.
    pub fn on(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// Returns how many numbers a row of each output has.
    pub fn widths_out(&self) -> &[usize] {
        &self.widths_out
    }

    /// Returns how many numbers an input row has.
    pub fn width_in(&self) -> usize {
        self.width_in
    }

    /// Computes the outputs of some rows.
    ///
    /// What comes of a row depends on nothing but that row: it is the same to the bit whatever else is there.
    ///
    /// # Errors
    /// When there is another number of outputs, or one has another size than the rows ask for.
    pub fn run(&self, rows: &[f32], outputs: &mut [&mut [f32]]) -> Result<(), LinearError> {
        let count = self.check(rows, outputs)?;
        SCRATCH.with_borrow_mut(|scratch| {
            for first in (0..count).step_by(BLOCK) {
                let count = BLOCK.min(count - first);
                let floats = &rows[first * self.width_in..][..count * self.width_in];
                self.block(floats, count, first, outputs, scratch);
            }
        });
        Ok(())
    }

    fn block(
        &self,
        floats: &[f32],
        count: usize,
        first: usize,
        outputs: &mut [&mut [f32]],
        scratch: &mut Rows,
    ) {
        scratch.resize(count, self.width_in.next_multiple_of(LANES));
        scratch.take_outliers(floats, self.width_in, &self.outliers);
        let engine = Engine::of(self.path);
        for (row, floats) in floats.chunks_exact(self.width_in).enumerate() {
            engine.quantise(floats, &self.masks, scratch, row);
        }
        for ((panels, width), output) in self.panels.iter().zip(&self.widths_out).zip(outputs) {
            let block = Block {
                rows: scratch,
                lines: &self.lines,
                outliers: self.outliers.len(),
                gelu: self.activation == Activation::Gelu,
                stride_out: *width,
            };
            for (at, panel) in panels.iter().enumerate() {
                let mut done = 0;
                for rows in tiles(count) {
                    let out = &mut output[(first + done) * width + at * PANEL..];
                    engine.product(panel, &block, done, rows, out);
                    done += rows;
                }
            }
        }
    }

    /// Returns how many rows there are.
    fn check(&self, rows: &[f32], outputs: &[&mut [f32]]) -> Result<usize, LinearError> {
        let count = rows.len() / self.width_in;
        size("numbers of rows", rows.len(), count * self.width_in)?;
        size("outputs", outputs.len(), self.widths_out.len())?;
        for (output, width) in outputs.iter().zip(&self.widths_out) {
            size("numbers of an output", output.len(), count * width)?;
        }
        Ok(count)
    }
}

thread_local! {
    /// Rows of whatever layer a thread computes: it has one at a time.
    static SCRATCH: RefCell<Rows> = RefCell::default();
}

/// Splits rows into tiles of nearly the same size: five and four rows are faster than six and three.
pub(crate) fn tiles(rows: usize) -> impl Iterator<Item = usize> {
    let tiles = rows.div_ceil(TILE);
    (0..tiles).map(move |at| rows / tiles + usize::from(at < rows % tiles))
}

/// What a path is on this machine.
#[derive(Clone, Copy)]
enum Engine {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
}

impl Engine {
    fn of(path: Path) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let (Path::Fastest, Some(vnni)) = (path, Vnni::detect()) {
            return Self::Vnni(vnni);
        }
        let (Path::Portable | Path::Fastest) = path;
        Self::Portable
    }

    fn quantise(self, floats: &[f32], masks: &[u16], rows: &mut Rows, row: usize) {
        match self {
            Self::Portable => portable::quantise(floats, masks, rows, row),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.quantise(floats, masks, rows, row),
        }
    }

    fn product(self, panel: &Panel, block: &Block<'_>, first: usize, count: usize, out: &mut [f32]) {
        match self {
            Self::Portable => portable::product(panel, block, first, count, out),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(vnni) => vnni.product(panel, block, first, count, out),
        }
    }
}

impl Parts<'_> {
    fn check(&self) -> Result<(), LinearError> {
        let columns = self.widths_out.iter().try_fold(0_usize, |sum, width| sum.checked_add(*width));
        let columns = columns.unwrap_or(usize::MAX);
        let width = self.width_in;
        if width == 0 || width > WIDTH_MAX {
            return Err(LinearError::TooWide { width });
        }
        size("scales", self.scales.len(), columns)?;
        size("weights", self.weights.len(), width.saturating_mul(columns))?;
        if !self.bias.is_empty() {
            size("numbers of the bias", self.bias.len(), columns)?;
        }
        size("weights of outliers", self.outlier_weights.len(), self.outliers.len().saturating_mul(columns))?;
        match self.outliers.iter().find(|column| **column >= width) {
            Some(&column) => Err(LinearError::NoColumn { column, width }),
            None => Ok(()),
        }
    }

    fn panel(&self, lines: &mut Room<Line>, is_outlier: &[bool], first: usize, columns: usize) -> Panel {
        let all = self.scales.len();
        let weight =
            |row: usize, column| if is_outlier[row] { 0 } else { self.weights[row * all + first + column] };
        Panel::new(
            lines,
            (self.width_in, self.outliers.len()),
            columns,
            weight,
            |row, column| self.outlier_weights[row * all + first + column],
            (&self.scales[first..], self.bias.get(first..).unwrap_or_default()),
        )
    }
}

pub(crate) fn size(part: &'static str, found: usize, expected: usize) -> Result<(), LinearError> {
    if found == expected { Ok(()) } else { Err(LinearError::Size { part, found, expected }) }
}
