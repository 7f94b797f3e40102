//! An item as the model takes it, and batches of them: shorter items are padded with zeros to the longest.

use ml_core::{ModelError, Outputs, Tensor};
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::LimitError;

/// The inputs of one item, without the batch's dimension, in the order of the model's inputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) inputs: Vec<Tensor<'static>>,
}

/// The inputs of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    inputs: Vec<(String, Tensor<'static>)>,
    /// How many items are in it.
    pub(crate) items: usize,
}

impl Item {
    /// Returns how much there is of it: the tokens of a text, times the inputs that a token has.
    pub(crate) fn length(&self) -> usize {
        self.inputs.iter().map(|input| input.shape().iter().product::<usize>()).sum()
    }
}

impl Batch {
    /// Puts items together.
    pub(crate) fn new(names: &[String], items: &[&Item]) -> Result<Self, LimitError> {
        let inputs = names.iter().enumerate().map(|(at, name)| {
            let rows: Vec<&Tensor<'static>> = items.iter().filter_map(|item| item.inputs.get(at)).collect();
            let input = stack(&rows).map_err(|reason| LimitError::Input { name: name.clone(), reason })?;
            Ok((name.clone(), input))
        });
        Ok(Self { inputs: inputs.collect::<Result<_, LimitError>>()?, items: items.len() })
    }

    /// Makes a batch of inputs that were put together elsewhere.
    pub(crate) fn of(inputs: Vec<(String, Tensor<'static>)>, items: usize) -> Self {
        Self { inputs, items }
    }

    /// Runs the model on it. The outputs are left where they are: a server would read them in place.
    pub(crate) fn run(&self, model: &ml_core::Model) -> Result<Outputs, ModelError> {
        let inputs = self.inputs.iter().filter_map(|(name, tensor)| Some((name.as_str(), view(tensor)?)));
        model.run(inputs.collect())
    }
}

/// The element types that items can have, in the one place that lists them.
macro_rules! numbers {
    ($($variant:ident: $rust:ty),*) => {
        /// Stacks rows, each padded to the largest size on every axis.
        fn stack(rows: &[&Tensor<'static>]) -> Result<Tensor<'static>, String> {
            match rows.first() {
                $(Some(Tensor::$variant(_)) => {
                    let rows = rows.iter().filter_map(|row| match row {
                        Tensor::$variant(row) => Some(row.view()),
                        _ => None,
                    });
                    pad::<$rust>(&rows.collect::<Vec<_>>()).map(Tensor::from)
                })*
                Some(other) => Err(format!("cannot make batches of {}", other.element())),
                None => Err("a batch needs an item".to_owned()),
            }
        }

        /// Borrows a tensor, so that a batch can be run again. What `stack` made is always one of these.
        fn view<'a>(tensor: &'a Tensor<'static>) -> Option<Tensor<'a>> {
            match tensor {
                $(Tensor::$variant(array) => Some(array.view().into()),)*
                _ => None,
            }
        }
    };
}

numbers!(F32: f32, F64: f64, I32: i32, I64: i64, U8: u8, Bool: bool);

fn pad<T: Clone + Default>(rows: &[ndarray::ArrayViewD<'_, T>]) -> Result<ArrayD<T>, String> {
    let rank = rows.first().map_or(0, |row| row.ndim());
    if rows.iter().any(|row| row.ndim() != rank) {
        return Err("the items differ in their number of dimensions".to_owned());
    }
    let largest = (0..rank).map(|axis| rows.iter().map(|row| row.shape()[axis]).max().unwrap_or(0));
    let shape: Vec<usize> = [rows.len()].into_iter().chain(largest).collect();
    let mut batch = ArrayD::from_elem(IxDyn(&shape), T::default());
    for (mut place, row) in batch.outer_iter_mut().zip(rows) {
        place.slice_each_axis_mut(|axis| Slice::from(..row.len_of(Axis(axis.axis.index())))).assign(row);
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn item(input: Tensor<'static>) -> Item {
        Item { inputs: vec![input] }
    }

    #[test]
    fn shorter_items_are_padded_with_zeros() {
        let names = ["x".to_owned()];
        let cases: [([Tensor<'static>; 2], Tensor<'static>); 3] = [
            ([array![1_i64, 2, 3].into(), array![4_i64].into()], array![[1_i64, 2, 3], [4, 0, 0]].into()),
            (
                [array![[1.0_f32, 2.0]].into(), array![[3.0_f32], [4.0]].into()],
                array![[[1.0_f32, 2.0], [0.0, 0.0]], [[3.0, 0.0], [4.0, 0.0]]].into(),
            ),
            ([ndarray::arr0(1_i64).into(), ndarray::arr0(2_i64).into()], array![1_i64, 2].into()),
        ];
        for (rows, expected) in cases {
            let items = rows.map(item);
            let batch = Batch::new(&names, &items.iter().collect::<Vec<_>>()).unwrap();
            assert_eq!((batch.inputs, batch.items), (vec![("x".to_owned(), expected)], 2));
        }
    }

    #[test]
    fn items_of_another_rank_are_refused() {
        let items = [item(array![1_i64].into()), item(array![[1_i64]].into())];
        let error = Batch::new(&["x".to_owned()], &items.iter().collect::<Vec<_>>()).unwrap_err();
        assert_eq!(error.to_string(), "input x: the items differ in their number of dimensions");
    }
}
