//! A tensor of any element type, borrowed or owned: what goes into a run, and the view of what comes out.
//!
//! ONNX calls its texts strings, and promises no more of them than bytes: here they are `Vec<u8>`, and a `String` where
//! they are asked for as one.

use std::fmt;

use half::{bf16, f16};
use ndarray::{Array, ArrayD, ArrayView, ArrayViewD, Axis, CowArray, Dimension, IxDyn};

use crate::ModelError;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a tensor can hold.
pub trait Element: sealed::Sealed + Clone + Sized + 'static {
    /// The type's name among the tensor types.
    const TYPE: ElementType;

    /// Takes the array out of a tensor of this type.
    fn from_tensor(tensor: Tensor<'_>) -> Option<CowArray<'_, Self, IxDyn>>;
}

macro_rules! elements {
    ($($variant:ident: $rust:ty, $name:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ElementType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl fmt::Display for ElementType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $name,)* })
            }
        }

        /// A tensor: borrowed on the way in, a view of the runtime's memory on the way out.
        ///
        /// Made from `ndarray`'s views without copying, but for those of `String`, whose bytes are copied.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Tensor<'a> {
            $(#[doc = concat!("Elements of type `", $name, "`")] $variant(CowArray<'a, $rust, IxDyn>),)*
        }

        impl Tensor<'_> {
            /// Returns the type of the elements.
            pub fn element(&self) -> ElementType {
                match self { $(Self::$variant(_) => ElementType::$variant,)* }
            }

            /// Returns the sizes.
            pub fn shape(&self) -> &[usize] {
                match self { $(Self::$variant(array) => array.shape(),)* }
            }

            /// Copies the tensor, so that it outlives the memory that it views.
            pub fn to_static(&self) -> Tensor<'static> {
                match self { $(Self::$variant(array) => array.to_owned().into(),)* }
            }

            /// Copies one row: the tensor at `index` of the first axis, with one size fewer.
            ///
            /// `None` where there is no such row.
            pub fn row(&self, index: usize) -> Option<Tensor<'static>> {
                if index >= *self.shape().first()? {
                    return None;
                }
                Some(match self {
                    $(Self::$variant(array) => array.index_axis(Axis(0), index).to_owned().into(),)*
                })
            }

            /// Puts tensors of one type and shape on top of each other, along a new first axis.
            ///
            /// # Errors
            /// When there are none, or when they differ in type or shape.
            pub fn stack<'t, 'a: 't>(rows: impl IntoIterator<Item = &'t Tensor<'a>>) -> Result<Tensor<'static>, ModelError> {
                let rows: Vec<_> = rows.into_iter().collect();
                match rows.first().map(|row| row.element()) {
                    None => Err(ModelError::new("no tensors to stack")),
                    $(Some(ElementType::$variant) => {
                        let views = rows.iter().filter_map(|row| match row {
                            Tensor::$variant(array) => Some(array.view()),
                            _ => None,
                        });
                        let views: Vec<_> = views.collect();
                        if views.len() < rows.len() {
                            return Err(ModelError::new("the tensors to stack differ in type"));
                        }
                        Ok(stacked(&views)?.into())
                    })*
                }
            }
        }

        $(
            impl sealed::Sealed for $rust {}

            impl Element for $rust {
                const TYPE: ElementType = ElementType::$variant;

                fn from_tensor(tensor: Tensor<'_>) -> Option<CowArray<'_, Self, IxDyn>> {
                    match tensor { Tensor::$variant(array) => Some(array), _ => None }
                }
            }

            impl<'a, D: Dimension> From<ArrayView<'a, $rust, D>> for Tensor<'a> {
                fn from(view: ArrayView<'a, $rust, D>) -> Self {
                    Self::$variant(view.into_dyn().into())
                }
            }

            impl<'a, D: Dimension> From<&'a Array<$rust, D>> for Tensor<'a> {
                fn from(array: &'a Array<$rust, D>) -> Self {
                    array.view().into()
                }
            }

            impl<D: Dimension> From<Array<$rust, D>> for Tensor<'_> {
                fn from(array: Array<$rust, D>) -> Self {
                    Self::$variant(array.into_dyn().into())
                }
            }
        )*
    };
}

elements! {
    F32: f32, "f32";
    F16: f16, "f16";
    BF16: bf16, "bf16";
    F64: f64, "f64";
    I8: i8, "i8";
    I16: i16, "i16";
    I32: i32, "i32";
    I64: i64, "i64";
    U8: u8, "u8";
    U16: u16, "u16";
    U32: u32, "u32";
    U64: u64, "u64";
    Bool: bool, "bool";
    String: Vec<u8>, "string";
}

impl sealed::Sealed for String {}

/// Texts are bytes to a model; these are the ones that are UTF-8.
impl Element for String {
    const TYPE: ElementType = ElementType::String;

    /// `None` also where a text is not UTF-8; those are had as `Vec<u8>`.
    fn from_tensor(tensor: Tensor<'_>) -> Option<CowArray<'_, Self, IxDyn>> {
        let Tensor::String(array) = tensor else { return None };
        let (shape, texts) = (array.raw_dim(), array.into_owned());
        let texts: Result<Vec<_>, _> = texts.into_iter().map(String::from_utf8).collect();
        ArrayD::from_shape_vec(shape, texts.ok()?).ok().map(CowArray::from)
    }
}

impl<D: Dimension> From<ArrayView<'_, String, D>> for Tensor<'_> {
    fn from(texts: ArrayView<'_, String, D>) -> Self {
        Self::String(texts.map(|text| text.clone().into_bytes()).into_dyn().into())
    }
}

impl<D: Dimension> From<&Array<String, D>> for Tensor<'_> {
    fn from(texts: &Array<String, D>) -> Self {
        texts.view().into()
    }
}

impl<D: Dimension> From<Array<String, D>> for Tensor<'_> {
    fn from(texts: Array<String, D>) -> Self {
        Self::String(texts.mapv_into_any(String::into_bytes).into_dyn().into())
    }
}

/// Makes a 64-bit integer one of 32 bits, for a runtime that has no wider ones.
///
/// # Errors
/// Says which input holds a number that does not fit.
pub(super) fn narrow(runtime: &str, input: &str, value: i64) -> Result<i32, ModelError> {
    let too_wide =
        |_| ModelError::new(format!("input {input} holds {value}; {runtime} takes 32-bit integers"));
    i32::try_from(value).map_err(too_wide)
}

/// Puts arrays on top of each other, at the price of copying their elements where these lie in order.
fn stacked<T: Clone>(rows: &[ArrayViewD<'_, T>]) -> Result<ArrayD<T>, ModelError> {
    let shape = rows.first().map_or(&[][..], |row| row.shape());
    let mut elements = Vec::with_capacity(rows.len() * shape.iter().product::<usize>());
    for row in rows {
        match row.as_slice().filter(|_| row.shape() == shape) {
            Some(row) => elements.extend_from_slice(row),
            None => return Ok(ndarray::stack(Axis(0), rows)?),
        }
    }
    let sizes: Vec<usize> = std::iter::once(rows.len()).chain(shape.iter().copied()).collect();
    Ok(ArrayD::from_shape_vec(sizes, elements)?)
}

impl ElementType {
    /// Returns whether a runtime that has no such type may hold it as `other` without losing anything.
    pub(super) fn is_held_as(self, other: Self) -> bool {
        matches!((self, other), (Self::I64 | Self::Bool, Self::I32))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_that_do_not_lie_in_order_are_stacked_in_order() {
        let table = array![[1_u8, 2], [3, 4]];
        let transposed = Tensor::from(table.t());
        let stacked = Tensor::stack([&transposed, &Tensor::from(&table)]).expect("same type, same shape");
        assert_eq!(stacked, array![[[1_u8, 3], [2, 4]], [[1, 2], [3, 4]]].into());
        let number = Tensor::from(ndarray::arr0(7_u8));
        assert_eq!(Tensor::stack([&number, &number]).ok(), Some(array![7_u8, 7].into()));
    }

    #[test]
    fn rows_are_stacked_and_taken_apart_again() {
        let rows: [Tensor<'_>; 2] = [array![1_i64, 2].into(), array![3_i64, 4].into()];
        let stacked = Tensor::stack(&rows).expect("same type, same shape");
        assert_eq!(stacked, array![[1_i64, 2], [3, 4]].into());
        assert_eq!(stacked.row(1), Some(rows[1].clone()));
        assert_eq!(stacked.row(2), None);
    }

    #[test]
    fn tensors_that_differ_are_not_stacked() {
        let number: Tensor<'_> = array![1_i64].into();
        for other in [Tensor::from(array![1.0_f32]), Tensor::from(array![1_i64, 2])] {
            assert!(Tensor::stack([&number, &other]).is_err(), "{other:?}");
        }
        assert!(Tensor::stack([]).is_err());
    }
}
