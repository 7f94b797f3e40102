//! A linear layer in floats: `activation(x · weights + bias)` in one pass, for a runtime whose product comes before both.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
use crate::avx512::Avx512;
use crate::layout::{Floats, LANES, PANEL};
use crate::linear::{Activation, LinearError, Path, TILE, size, tiles};
use crate::memory::{Arena, Packed};
use crate::portable;

/// Rows that are multiplied with each panel while they stay in a core's own cache, so that a panel is read so many times fewer.
const BLOCK: usize = 96;

/// What a layer is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct FloatParts<'a> {
    /// Numbers of an input row.
    pub width_in: usize,
    /// Numbers of an output row.
    pub width_out: usize,
    /// The matrix: a row of outputs for each number of an input row.
    pub weights: &'a [f32],
    /// Whether the matrix lies the other way: a row of inputs for each number of an output row.
    pub transposed: bool,
    /// What is added to each column; may be empty.
    pub bias: &'a [f32],
    /// What is done with each number in the end.
    pub activation: Activation,
}

/// A linear layer whose weights are packed for the products of this machine.
#[derive(Debug)]
pub struct FloatLinear {
    width_in: usize,
    width_out: usize,
    panels: Vec<FloatPanel>,
    /// All weights.
    lines: Packed<Floats>,
    activation: Activation,
    path: Path,
}

/// Columns that are computed together, filled up with zeros to whole vectors.
#[derive(Debug)]
pub(crate) struct FloatPanel {
    /// Of the layer's lines: for each number of an input row a line for each vector of columns.
    lines: Range<usize>,
    /// Of each vector of columns.
    pub(crate) bias: Vec<Floats>,
}

/// Some columns of every row of an output: what a thread computes.
#[derive(Debug)]
pub struct Columns<'a> {
    panels: Range<usize>,
    /// For each row, where its columns go.
    places: Vec<&'a mut [f32]>,
}

/// Some rows, and the panel that they are multiplied with.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// A line for each vector of columns, for each number of a row.
    pub(crate) lines: &'a [Floats],
    pub(crate) bias: &'a [Floats],
    /// Where weights begin that are wanted next.
    pub(crate) ahead: *const Floats,
    pub(crate) rows: &'a [f32],
    pub(crate) width_in: usize,
    pub(crate) gelu: bool,
}

impl FloatLinear {
    /// Packs a layer into memory of its own.
    ///
    /// # Errors
    /// See [`Self::new_in`].
    pub fn new(parts: &FloatParts<'_>) -> Result<Self, LinearError> {
        Self::new_in(parts, &mut Arena::default())
    }

    /// Packs a layer.
    ///
    /// # Errors
    /// When the sizes of the parts do not agree.
    pub fn new_in(parts: &FloatParts<'_>, arena: &mut Arena) -> Result<Self, LinearError> {
        let FloatParts { width_in, width_out, weights, transposed, bias, activation } = *parts;
        if width_in == 0 || width_out == 0 {
            return Err(LinearError::Empty { width_in, width_out });
        }
        size("weights", weights.len(), width_in.saturating_mul(width_out))?;
        if !bias.is_empty() {
            size("numbers of the bias", bias.len(), width_out)?;
        }
        let mut lines = arena.room(width_in * width_out.div_ceil(LANES));
        let mut panel = |first: usize| {
            let vectors = || (first..width_out.min(first + PANEL)).step_by(LANES);
            let before = lines.len();
            for row in 0..width_in {
                let weight =
                    |at: usize| weights[if transposed { at * width_in + row } else { row * width_out + at }];
                lines.extend(vectors().map(|column| Floats::of(width_out, column, weight)));
            }
            let bias_of = |at: usize| bias.get(at).copied().unwrap_or(0.0);
            let bias = vectors().map(|column| Floats::of(width_out, column, bias_of)).collect();
            FloatPanel { lines: before..lines.len(), bias }
        };
        let panels = (0..width_out).step_by(PANEL).map(&mut panel).collect();
        Ok(Self { width_in, width_out, panels, lines: lines.packed(), activation, path: Path::Fastest })
    }

    /// Returns whether this machine has the instructions of the fastest path; without them, a runtime's own product is quicker.
    pub fn is_fast() -> bool {
        !matches!(Engine::of(Path::Fastest), Engine::Portable)
    }

    /// Returns the layer as that path computes it.
    pub fn on(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// Returns how many numbers an output row has.
    pub fn width_out(&self) -> usize {
        self.width_out
    }

    /// Returns how many numbers an input row has.
    pub fn width_in(&self) -> usize {
        self.width_in
    }

    /// Splits an output by its columns, into at most so many parts: with few rows the time goes into reading weights, which
    /// threads that had some rows each would all read.
    pub fn split<'a>(&self, output: &'a mut [f32], parts: usize) -> Vec<Columns<'a>> {
        let rows = output.len() / self.width_out;
        let each = self.panels.len().div_ceil(parts.max(1));
        let panels = (0..self.panels.len()).step_by(each);
        let part = |first: usize| first..self.panels.len().min(first + each);
        let mut split: Vec<Columns<'a>> =
            panels.map(|first| Columns { panels: part(first), places: Vec::with_capacity(rows) }).collect();
        for row in output.chunks_exact_mut(self.width_out) {
            let places = row.chunks_mut(each * PANEL);
            split.iter_mut().zip(places).for_each(|(columns, place)| columns.places.push(place));
        }
        split
    }

    /// Computes these columns of the outputs of some rows.
    ///
    /// What comes of a row depends on nothing but that row: it is the same to the bit whatever else is there, and however
    /// it was split.
    ///
    /// # Errors
    /// When there are not as many rows as the columns were split for.
    pub fn run(&self, rows: &[f32], columns: &mut Columns<'_>) -> Result<(), LinearError> {
        size("numbers of rows", rows.len(), columns.places.len().saturating_mul(self.width_in))?;
        let engine = Engine::of(self.path);
        let all_lines = &*self.lines;
        let blocks = rows.chunks(BLOCK * self.width_in).zip(columns.places.chunks_mut(BLOCK));
        for (rows, places) in blocks {
            for (at, panel) in self.panels[columns.panels.clone()].iter().enumerate() {
                let lines = &all_lines[panel.lines.clone()];
                // Each tile fetches a part of the next panel, which begins where this one ends.
                let part = lines.len() / places.len().div_ceil(TILE);
                let mut product = Product {
                    lines,
                    bias: &panel.bias,
                    ahead: lines.as_ptr_range().end,
                    rows,
                    width_in: self.width_in,
                    gelu: self.activation == Activation::Gelu,
                };
                let mut places = &mut *places;
                for count in tiles(places.len()) {
                    let (now, later) = places.split_at_mut(count);
                    engine.product(product, now, at * PANEL);
                    product.rows = &product.rows[count * self.width_in..];
                    product.ahead = product.ahead.wrapping_add(part);
                    places = later;
                }
            }
        }
        Ok(())
    }
}

/// What a path is on this machine.
#[derive(Clone, Copy)]
enum Engine {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Engine {
    fn of(path: Path) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let (Path::Fastest, Some(avx512)) = (path, Avx512::detect()) {
            return Self::Avx512(avx512);
        }
        let (Path::Portable | Path::Fastest) = path;
        Self::Portable
    }

    /// Computes a tile: a row for each place, whose columns go there from that one on.
    fn product(self, product: Product<'_>, places: &mut [&mut [f32]], first: usize) {
        match self {
            Self::Portable => portable::float_product(product, places, first),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.product(product, places, first),
        }
    }
}
