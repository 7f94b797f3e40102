//! From tokens to the tensors of a batch: padded to the longest text, or packed one after the other.

use ndarray::{Array1, Array2};

/// A tokenised text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The number of each token.
    pub ids: Vec<u32>,
    /// Which part of a pair each token is of; empty where all are of the first.
    pub types: Vec<u32>,
}

impl Tokens {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// The tensors of a padded batch: a row a text.
pub(super) struct Padded {
    pub ids: Array2<i64>,
    pub mask: Array2<i64>,
    pub types: Array2<i64>,
}

impl Padded {
    /// Fills every text up to the longest, or to `length` where the graph wants that.
    pub fn of(texts: &[&Tokens], padding: u32, length: Option<usize>) -> Self {
        let shape = (texts.len(), length.unwrap_or_else(|| longest(texts)));
        let mut ids = Array2::from_elem(shape, i64::from(padding));
        let (mut mask, mut types) = (Array2::zeros(shape), Array2::zeros(shape));
        for (row, text) in texts.iter().enumerate() {
            for (place, id) in text.ids.iter().enumerate() {
                (ids[[row, place]], mask[[row, place]]) = (i64::from(*id), 1);
            }
            for (place, part) in text.types.iter().enumerate() {
                types[[row, place]] = i64::from(*part);
            }
        }
        Self { ids, mask, types }
    }

    /// Each token's place in its row.
    pub fn positions(&self) -> Array2<i64> {
        Array2::from_shape_fn(self.ids.raw_dim(), |(_, place)| number(place))
    }
}

/// The tensors of a packed batch: all tokens in one row, which the model lays out text by text only where they look at
/// each other.
pub(super) struct Packed {
    pub ids: Array1<i64>,
    pub positions: Array1<i64>,
    /// `unpack[text, place]` is the token that stands there.
    pub unpack: Array2<i64>,
    /// `pack[token]` is its place, counted through all texts.
    pub pack: Array1<i64>,
    pub mask: Array2<i64>,
}

impl Packed {
    /// Puts the texts one after the other.
    pub fn of(texts: &[&Tokens]) -> Self {
        let longest = longest(texts);
        let total: usize = texts.iter().map(|text| text.len()).sum();
        let [mut ids, mut positions, mut pack] = [(); 3].map(|()| Array1::zeros(total));
        let [mut unpack, mut mask] = [(); 2].map(|()| Array2::zeros((texts.len(), longest)));
        let mut token = 0;
        for (row, text) in texts.iter().enumerate() {
            for (place, id) in text.ids.iter().enumerate() {
                ids[token] = i64::from(*id);
                positions[token] = number(place);
                pack[token] = number(row * longest + place);
                unpack[[row, place]] = number(token);
                mask[[row, place]] = 1;
                token += 1;
            }
        }
        Self { ids, positions, unpack, pack, mask }
    }
}

fn longest(texts: &[&Tokens]) -> usize {
    texts.iter().map(|text| text.len()).max().unwrap_or(0)
}

/// An index as the model takes it; no batch is so large that it would not fit.
fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn shorter_texts_are_filled_up_and_masked() {
        let texts =
            [Tokens { ids: vec![5, 6, 7], types: vec![0, 1, 1] }, Tokens { ids: vec![8], types: vec![] }];
        let padded = Padded::of(&texts.iter().collect::<Vec<_>>(), 1, None);
        assert_eq!(padded.ids, array![[5, 6, 7], [8, 1, 1]]);
        assert_eq!(padded.mask, array![[1, 1, 1], [1, 0, 0]]);
        assert_eq!(padded.types, array![[0, 1, 1], [0, 0, 0]]);
        assert_eq!(padded.positions(), array![[0, 1, 2], [0, 1, 2]]);
        assert_eq!(Padded::of(&[&texts[1]], 0, Some(2)).ids, array![[8, 0]]);
    }

    #[test]
    fn packed_tokens_are_found_where_they_are_said_to_be() {
        let texts = [Tokens { ids: vec![5], types: vec![] }, Tokens { ids: vec![6, 7], types: vec![] }];
        let packed = Packed::of(&texts.iter().collect::<Vec<_>>());
        assert_eq!((packed.ids, packed.positions), (array![5, 6, 7], array![0, 0, 1]));
        assert_eq!((packed.pack, packed.unpack), (array![0, 2, 3], array![[0, 0], [1, 2]]));
        assert_eq!(packed.mask, array![[1, 0], [1, 1]]);
    }
}
