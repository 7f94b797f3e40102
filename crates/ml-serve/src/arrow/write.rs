//! From the outputs of rows to a table, with an error for each row that has none.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, StructArray,
};
use arrow_buffer::{MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use half::bf16;
use ml_core::{Dimension, ElementType};

use super::schema::{ERROR, error_fields, item, kept, nested};
use crate::ApiError;
use crate::onnx::TensorModel;
use crate::tensors::{Data, RawTensor, Tensors, element_bytes};

/// A row's outputs, or why it has none.
pub(crate) type RowResult = Result<Tensors, ApiError>;

/// Writes the outputs of a model.
pub(crate) struct Writer {
    outputs: Vec<Output>,
    /// Sizes of an output that are the batch.
    batch_sizes: usize,
    schema: SchemaRef,
}

struct Output {
    element: ElementType,
    sizes: Vec<Dimension>,
    /// Whether a row's only size, of one, is left out.
    is_one: bool,
}

impl Writer {
    /// Decides the columns of an answer.
    ///
    /// # Errors
    /// When the model does not say how many sizes an output has.
    pub fn new(model: &TensorModel) -> Result<Self, ApiError> {
        let pipeline = model.pipeline();
        let (mut outputs, mut fields) = (Vec::new(), Vec::new());
        for info in &pipeline.signature().outputs {
            let sizes = pipeline.row_shape(info).ok_or_else(|| ApiError::Unwritable {
                reason: format!("the output {} has no sizes that are known before it is computed", info.name),
            })?;
            let kept = kept(sizes);
            fields.push(Field::new(&info.name, nested(info.element, kept), true));
            outputs.push(Output {
                element: info.element,
                sizes: kept.to_vec(),
                is_one: kept.len() < sizes.len(),
            });
        }
        let taken = fields.iter().any(|field| field.name() == ERROR);
        fields.push(Field::new(
            if taken { "ml_error" } else { ERROR },
            DataType::Struct(error_fields()),
            true,
        ));
        let batch_sizes = usize::from(pipeline.batched());
        Ok(Self { outputs, batch_sizes, schema: Arc::new(Schema::new(fields)) })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Writes a table of rows.
    ///
    /// # Errors
    /// When an output has other sizes than the model says.
    pub fn batch(&self, mut rows: Vec<RowResult>) -> Result<RecordBatch, ArrowError> {
        rows.iter_mut().for_each(|row| self.check(row));
        let valid = NullBuffer::from_iter(rows.iter().map(Result::is_ok));
        let outputs = self.outputs.iter().enumerate().map(|(index, output)| {
            let row = |row: &'_ RowResult| row.as_ref().ok().and_then(|row| row.0.get(index).cloned());
            let rows: Vec<Option<RawTensor>> = rows.iter().map(row).collect();
            self.column(output, &rows, &valid)
        });
        let mut columns = outputs.collect::<Result<Vec<_>, _>>()?;
        columns.push(errors(&rows));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }

    /// Makes an error of a row whose outputs cannot be written.
    fn check(&self, row: &mut RowResult) {
        let Ok(tensors) = row else { return };
        let wrong = self.outputs.iter().zip(&*tensors.0).find_map(|(output, tensor)| {
            let sizes = tensor.shape.get(self.batch_sizes..).unwrap_or_default();
            let sizes = if output.is_one { sizes.get(1..).unwrap_or_default() } else { sizes };
            let same = |(size, wanted): (&usize, &Dimension)| match wanted {
                Dimension::Fixed(wanted) => size == wanted,
                Dimension::Dynamic(_) => true,
            };
            if sizes.len() != output.sizes.len() || !sizes.iter().zip(&output.sizes).all(same) {
                return Some(format!("an output is {:?}, which the model does not say", tensor.shape));
            }
            match &tensor.data {
                Data::Texts(texts) if texts.iter().any(|text| std::str::from_utf8(text).is_err()) => {
                    Some("a text is not UTF-8".to_owned())
                }
                _ => None,
            }
        });
        if let Some(reason) = wrong {
            *row = Err(ApiError::Unwritable { reason });
        }
    }

    fn column(
        &self,
        output: &Output,
        rows: &[Option<RawTensor>],
        valid: &NullBuffer,
    ) -> Result<ArrayRef, ArrowError> {
        let sizes = |row: &RawTensor| row.shape.get(self.batch_sizes..).unwrap_or_default().to_vec();
        // What stands where there is no row: nothing in lists, zeros in what has to be of one size.
        let blank: Vec<usize> = output
            .sizes
            .iter()
            .map(|size| if let Dimension::Fixed(size) = size { *size } else { 0 })
            .collect();
        let shapes: Vec<Vec<usize>> =
            rows.iter().map(|row| row.as_ref().map_or_else(|| blank.clone(), sizes)).collect();
        let nulls = |depth: usize| (depth == 0).then(|| valid.clone());
        let blanks: usize = blank.iter().product();
        let depth = output.sizes.len();
        let mut array = leaf(output.element, rows, blanks, nulls(depth))?;
        for (depth, size) in output.sizes.iter().enumerate().rev() {
            let field = item(array.data_type().clone());
            array = match size {
                Dimension::Fixed(size) => {
                    let size =
                        i32::try_from(*size).map_err(|_| ArrowError::ComputeError("too long".to_owned()))?;
                    let entries = shapes.iter().map(|shape| shape[..depth].iter().product::<usize>()).sum();
                    Arc::new(FixedSizeListArray::try_new_with_length(
                        field,
                        size,
                        array,
                        nulls(depth),
                        entries,
                    )?)
                }
                Dimension::Dynamic(_) => {
                    let entries = |shape: &Vec<usize>| {
                        std::iter::repeat_n(
                            shape.get(depth).copied().unwrap_or(0),
                            shape[..depth].iter().product(),
                        )
                    };
                    let offsets = OffsetBuffer::<i32>::from_lengths(shapes.iter().flat_map(entries));
                    Arc::new(ListArray::try_new(field, offsets, array, nulls(depth))?)
                }
            };
        }
        Ok(array)
    }
}

/// All elements of all rows, one after the other.
fn leaf(
    element: ElementType,
    rows: &[Option<RawTensor>],
    blanks: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    if element == ElementType::String {
        let texts = rows.iter().flat_map(|row| match row.as_ref().map(|row| &row.data) {
            Some(Data::Texts(texts)) => {
                texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect::<Vec<_>>()
            }
            _ => vec![String::new(); blanks],
        });
        let texts = StringArray::from_iter_values(texts);
        let (offsets, values, _) = texts.into_parts();
        return Ok(Arc::new(StringArray::try_new(offsets, values, nulls)?));
    }
    let width = element_bytes(element);
    let mut bytes = MutableBuffer::new(rows.len() * blanks.max(1) * width);
    for row in rows {
        match row.as_ref().map(|row| &row.data) {
            Some(Data::Numbers(numbers)) => bytes.extend_from_slice(numbers),
            _ => bytes.extend_zeros(blanks * width),
        }
    }
    match element {
        ElementType::Bool => {
            let truths = bytes.as_slice().iter().map(|byte| *byte != 0).collect();
            Ok(Arc::new(BooleanArray::new(truths, nulls)))
        }
        ElementType::BF16 => {
            let floats =
                bytes.as_slice().chunks_exact(2).map(|pair| bf16::from_le_bytes([pair[0], pair[1]]).to_f32());
            Ok(Arc::new(PrimitiveArray::<Float32Type>::try_new(floats.collect(), nulls)?))
        }
        ElementType::F16 => numbers::<Float16Type>(bytes, nulls),
        ElementType::F32 => numbers::<Float32Type>(bytes, nulls),
        ElementType::F64 => numbers::<Float64Type>(bytes, nulls),
        ElementType::I8 => numbers::<Int8Type>(bytes, nulls),
        ElementType::I16 => numbers::<Int16Type>(bytes, nulls),
        ElementType::I32 => numbers::<Int32Type>(bytes, nulls),
        ElementType::I64 => numbers::<Int64Type>(bytes, nulls),
        ElementType::U8 => numbers::<UInt8Type>(bytes, nulls),
        ElementType::U16 => numbers::<UInt16Type>(bytes, nulls),
        ElementType::U32 => numbers::<UInt32Type>(bytes, nulls),
        ElementType::U64 => numbers::<UInt64Type>(bytes, nulls),
        ElementType::String => Err(ArrowError::ComputeError("texts are not numbers".to_owned())),
    }
}

fn numbers<T: ArrowPrimitiveType>(
    bytes: MutableBuffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    // A buffer of Arrow's own lies at an address that suits any number.
    let numbers = ScalarBuffer::<T::Native>::from(arrow_buffer::Buffer::from(bytes));
    Ok(Arc::new(PrimitiveArray::<T>::try_new(numbers, nulls)?))
}

/// The column of errors: null where there is none.
fn errors(rows: &[RowResult]) -> ArrayRef {
    let errors = || rows.iter().map(|row| row.as_ref().err());
    let codes = StringArray::from_iter_values(
        errors().map(|error| error.map_or("", |error| error.status_and_code().1)),
    );
    let messages = errors().map(|error| error.map_or_else(String::new, ToString::to_string));
    let messages = StringArray::from_iter_values(messages);
    let nulls = NullBuffer::from_iter(errors().map(|error| error.is_some()));
    Arc::new(StructArray::new(error_fields(), vec![Arc::new(codes), Arc::new(messages)], Some(nulls)))
}
