//! Tensors: their elements, wherever and however the file stores them.

use bytes::Bytes;
use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::Tensor;

/// Why the elements of a tensor cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// A size is negative, or they multiply to more than a machine can address.
    #[error("its sizes are {0:?}")]
    Sizes(Vec<i64>),
    /// There are more or fewer elements than the sizes say.
    #[error("its sizes ask for {wanted} elements, it has {found}")]
    Count {
        /// What the sizes say.
        wanted: usize,
        /// What is there.
        found: usize,
    },
    /// The elements are of another type.
    #[error("its elements are of type {0}, which is not supported here")]
    Type(String),
    /// The elements lie in another file and were not brought in.
    #[error("its elements lie in another file")]
    Outside,
    /// The notes on the other file cannot be understood.
    #[error("its note {key} is {value:?}")]
    Note {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// Where a tensor's elements lie in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// The file, relative to the folder of the model.
    pub file: String,
    /// The byte that they begin at.
    pub offset: u64,
    /// As written; without it, they reach to the end of the file.
    pub length: Option<u64>,
}

macro_rules! data_types {
    ($($variant:ident = $number:literal, $bits:literal, $name:literal;)*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DataType {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl DataType {
            /// Returns the type of this number; none for numbers that this crate does not know.
            pub fn of(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// Returns the type's number in the file.
            pub fn number(self) -> i32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// Returns the bits of one element; 0 for texts.
            pub fn bits(self) -> usize {
                match self { $(Self::$variant => $bits,)* }
            }

            /// Returns the type's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

data_types! {
    Float = 1, 32, "float";
    Uint8 = 2, 8, "uint8";
    Int8 = 3, 8, "int8";
    Uint16 = 4, 16, "uint16";
    Int16 = 5, 16, "int16";
    Int32 = 6, 32, "int32";
    Int64 = 7, 64, "int64";
    String = 8, 0, "string";
    Bool = 9, 8, "bool";
    Float16 = 10, 16, "float16";
    Double = 11, 64, "double";
    Uint32 = 12, 32, "uint32";
    Uint64 = 13, 64, "uint64";
    Complex64 = 14, 64, "complex64";
    Complex128 = 15, 128, "complex128";
    Bfloat16 = 16, 16, "bfloat16";
    Float8e4m3fn = 17, 8, "float8e4m3fn";
    Float8e4m3fnuz = 18, 8, "float8e4m3fnuz";
    Float8e5m2 = 19, 8, "float8e5m2";
    Float8e5m2fnuz = 20, 8, "float8e5m2fnuz";
    Uint4 = 21, 4, "uint4";
    Int4 = 22, 4, "int4";
    Float4e2m1 = 23, 4, "float4e2m1";
    Float8e8m0 = 24, 8, "float8e8m0";
    Uint2 = 25, 2, "uint2";
    Int2 = 26, 2, "int2";
}

/// A Rust type that tensors can be made of.
pub trait Element: Copy {
    /// The type's number in the file.
    const TYPE: DataType;
    /// Appends the element as it lies in memory, the lowest byte first.
    fn put(self, into: &mut Vec<u8>);
}

macro_rules! elements {
    ($($rust:ty = $variant:ident,)*) => {$(
        impl Element for $rust {
            const TYPE: DataType = DataType::$variant;

            fn put(self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

elements!(f32 = Float, f16 = Float16, i8 = Int8, u8 = Uint8, i32 = Int32, i64 = Int64,);

impl Tensor {
    /// Makes a constant of these sizes, or an array's.
    pub fn new<T: Element>(name: &str, dims: &[usize], elements: impl IntoIterator<Item = T>) -> Self {
        let mut bytes = Vec::new();
        elements.into_iter().for_each(|element| element.put(&mut bytes));
        Self {
            name: name.to_owned(),
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type: Some(T::TYPE.number()),
            raw_data: Some(Bytes::from(bytes)),
            ..Self::default()
        }
    }

    /// Makes a constant of an array.
    pub fn of_array<T: Element, D: ndarray::Dimension>(name: &str, array: &ndarray::Array<T, D>) -> Self {
        Self::new(name, array.shape(), array.iter().copied())
    }

    /// Returns the type of the elements; none for one that this crate does not know.
    pub fn element(&self) -> Option<DataType> {
        DataType::of(self.data_type.unwrap_or(0))
    }

    /// Returns the sizes.
    ///
    /// # Errors
    /// When one is negative, or they multiply to more than a machine can address.
    pub fn sizes(&self) -> Result<Vec<usize>, TensorError> {
        let wrong = || TensorError::Sizes(self.dims.clone());
        let sizes = self.dims.iter().map(|&size| usize::try_from(size).map_err(|_| wrong()));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        let product = sizes.iter().try_fold(1_usize, |all, &size| all.checked_mul(size.max(1)));
        // Room for the widest elements: what comes after does not overflow.
        product.filter(|all| *all <= isize::MAX as usize / 16).map(|_| sizes).ok_or_else(wrong)
    }

    /// Returns how many elements the sizes ask for.
    ///
    /// # Errors
    /// As [`sizes`](Self::sizes).
    pub fn count(&self) -> Result<usize, TensorError> {
        Ok(self.sizes()?.iter().product())
    }

    /// Returns whether the elements lie in another file.
    pub fn is_outside(&self) -> bool {
        self.data_location == Some(1)
    }

    /// Returns where the elements lie in another file; none where they do not.
    ///
    /// # Errors
    /// When the notes about it make no sense.
    pub fn external(&self) -> Result<Option<External>, TensorError> {
        if !self.is_outside() {
            return Ok(None);
        }
        let mut found = External { file: String::new(), offset: 0, length: None };
        for entry in &self.external_data {
            let (key, value) =
                (entry.key.clone().unwrap_or_default(), entry.value.clone().unwrap_or_default());
            let number =
                || value.parse().map_err(|_| TensorError::Note { key: key.clone(), value: value.clone() });
            match key.as_str() {
                "location" => found.file = value,
                "offset" => found.offset = number()?,
                "length" => found.length = Some(number()?),
                _ => {}
            }
        }
        Ok(Some(found))
    }

    /// Returns how many elements are there, whatever the sizes say; none for those that lie in another file.
    pub(crate) fn stored(&self) -> Option<usize> {
        if self.is_outside() {
            return None;
        }
        let element = self.element()?;
        Some(match (&self.raw_data, element) {
            (_, DataType::String) => self.string_data.len(),
            (Some(raw), _) => raw.len() * 8 / element.bits(),
            (None, DataType::Float) => self.float_data.0.len(),
            (None, DataType::Complex64) => self.float_data.0.len() / 2,
            (None, DataType::Int64) => self.int64_data.0.len(),
            (None, DataType::Double) => self.double_data.0.len(),
            (None, DataType::Complex128) => self.double_data.0.len() / 2,
            (None, DataType::Uint32 | DataType::Uint64) => self.uint64_data.0.len(),
            // Smaller types have one element in each number, those of 4 bits and fewer two and more.
            (None, small) => self.int32_data.0.len() * (8 / small.bits().min(8)),
        })
    }

    /// Returns the elements as `f32`, of floating-point types of 16 and 32 bits.
    ///
    /// # Errors
    /// When they are of another type, or not all there.
    pub fn floats(&self) -> Result<ArrayD<f32>, TensorError> {
        let wide = |bits: &i32| *bits as u16;
        let elements: Vec<f32> = match (self.element(), &self.raw_data) {
            _ if self.is_outside() => return Err(TensorError::Outside),
            (Some(DataType::Float), Some(raw)) => chunks(raw).map(f32::from_le_bytes).collect(),
            (Some(DataType::Float), None) => self.float_data.0.clone(),
            (Some(DataType::Float16), Some(raw)) => {
                chunks(raw).map(|bits| f16::from_le_bytes(bits).to_f32()).collect()
            }
            (Some(DataType::Float16), None) => {
                self.int32_data.0.iter().map(|bits| f16::from_bits(wide(bits)).to_f32()).collect()
            }
            (Some(DataType::Bfloat16), Some(raw)) => {
                chunks(raw).map(|bits| bf16::from_le_bytes(bits).to_f32()).collect()
            }
            (Some(DataType::Bfloat16), None) => {
                self.int32_data.0.iter().map(|bits| bf16::from_bits(wide(bits)).to_f32()).collect()
            }
            _ => return Err(self.wrong_type()),
        };
        self.shaped(elements)
    }

    /// Returns the elements as `i64`, of the types `int32` and `int64`.
    ///
    /// # Errors
    /// When they are of another type, or not all there.
    pub fn integers(&self) -> Result<ArrayD<i64>, TensorError> {
        let elements: Vec<i64> = match (self.element(), &self.raw_data) {
            _ if self.is_outside() => return Err(TensorError::Outside),
            (Some(DataType::Int64), Some(raw)) => chunks(raw).map(i64::from_le_bytes).collect(),
            (Some(DataType::Int64), None) => self.int64_data.0.clone(),
            (Some(DataType::Int32), Some(raw)) => {
                chunks(raw).map(|bytes| i32::from_le_bytes(bytes).into()).collect()
            }
            (Some(DataType::Int32), None) => self.int32_data.0.iter().map(|&number| number.into()).collect(),
            _ => return Err(self.wrong_type()),
        };
        self.shaped(elements)
    }

    fn shaped<T>(&self, elements: Vec<T>) -> Result<ArrayD<T>, TensorError> {
        let (sizes, found) = (self.sizes()?, elements.len());
        let wanted = sizes.iter().product();
        ArrayD::from_shape_vec(IxDyn(&sizes), elements).map_err(|_| TensorError::Count { wanted, found })
    }

    fn wrong_type(&self) -> TensorError {
        let number = self.data_type.unwrap_or(0);
        TensorError::Type(self.element().map_or_else(|| number.to_string(), |known| known.name().to_owned()))
    }
}

fn chunks<const N: usize>(bytes: &Bytes) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}
