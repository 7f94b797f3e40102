//! From the rows of a table to items of tensors.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use ml_core::{ElementType, Rejection, TensorInfo};

use super::cells::Cells;
use super::schema::{kept, leaf};
use crate::ApiError;
use crate::onnx::{Columns, Scalar, TensorModel, tensor_of};
use crate::tensors::{RawTensor, Tensors, element_bytes};

/// The rows of a table as items of a model, or why each cannot be one.
pub(crate) struct Reader<'a>(&'a TensorModel);

impl<'a> Reader<'a> {
    /// Checks that a table has the model's columns, and no others.
    ///
    /// # Errors
    /// Names the column that is missing, or that nothing asks for.
    pub fn new(model: &'a TensorModel, schema: &Schema) -> Result<Self, ApiError> {
        let known: Vec<(&str, bool)> = match model.columns() {
            Some(columns) => columns.names_and_required().collect(),
            None => {
                model.pipeline().signature().inputs.iter().map(|info| (info.name.as_str(), true)).collect()
            }
        };
        let all = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let refuse = |column: &str, rule: &'static str| {
            let rejection = Rejection::new(column.to_owned(), rule).limit(format!("a table with {}", all()));
            Err(ApiError::Engine(ml_core::Error::Rejected(rejection)))
        };
        let mut seen = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            if !known.iter().any(|(name, _)| name == field.name()) {
                return refuse(field.name(), "unknown_field");
            }
            if seen.contains(&field.name()) {
                return refuse(field.name(), "duplicate_field");
            }
            seen.push(field.name());
        }
        match known.iter().find(|(name, required)| *required && !seen.iter().any(|seen| seen == name)) {
            Some((missing, _)) => refuse(missing, "required"),
            None => Ok(Self(model)),
        }
    }

    /// Makes an item of each row.
    pub fn items(&self, batch: &RecordBatch) -> Vec<Result<Tensors, Rejection>> {
        match self.0.columns() {
            Some(columns) => self.rows(columns, batch),
            None => self.tensors(batch),
        }
    }

    /// Rows of named columns, as those in JSON are read.
    fn rows(&self, columns: &Columns, batch: &RecordBatch) -> Vec<Result<Tensors, Rejection>> {
        let inputs = &self.0.pipeline().signature().inputs;
        let cells: Vec<Option<(&ArrayRef, Option<Cells<'_>>)>> = columns
            .names_and_required()
            .map(|(name, _)| batch.column_by_name(name).map(|array| (array, Cells::of(array))))
            .collect();
        let row = |index: usize| {
            let cell = |(place, column): (usize, &Option<(&ArrayRef, Option<Cells<'_>>)>)| match column {
                None => Ok(None),
                Some((_, Some(cells))) => Ok(cells.json(index)),
                Some((array, None)) => Err(columns.wrong_type(place, array.data_type())),
            };
            let cells = cells.iter().enumerate().map(cell).collect::<Result<Vec<_>, _>>()?;
            columns.tensors(&cells, inputs)
        };
        (0..batch.num_rows()).map(row).collect()
    }

    /// Columns that are a model's inputs.
    fn tensors(&self, batch: &RecordBatch) -> Vec<Result<Tensors, Rejection>> {
        let pipeline = self.0.pipeline();
        let columns = pipeline.signature().inputs.iter().map(|info| {
            let sizes = pipeline.row_shape(info).unwrap_or_default();
            let one = kept(sizes).len() < sizes.len();
            let array = batch.column_by_name(&info.name);
            array.map_or_else(Vec::new, |array| column(array, info, one, pipeline.batched())).into_iter()
        });
        let mut columns: Vec<_> = columns.collect();
        let row = |_| {
            let tensors: Vec<Result<RawTensor, Rejection>> =
                columns.iter_mut().filter_map(Iterator::next).collect();
            Ok(Tensors(tensors.into_iter().collect::<Result<_, _>>()?))
        };
        (0..batch.num_rows()).map(row).collect()
    }
}

/// A tensor for each row of a column; `one` where a row is one element and the input has a size for it.
pub(crate) fn column(
    array: &ArrayRef,
    info: &TensorInfo,
    one: bool,
    batched: bool,
) -> Vec<Result<RawTensor, Rejection>> {
    let missing = || Rejection::new(info.name.clone(), "required").value("nothing").limit(info);
    let reject = |rule: &'static str, value: String, limit: String| {
        Err(Rejection::new(info.name.clone(), rule).value(value).limit(limit))
    };
    let Peeled { leaf: elements, rows } = peel(array);
    let whole = whole(&elements, info);
    let cells = Cells::of(&elements);
    let tensor = |row: Row| {
        let (start, end, mut shape) = match row {
            Row::Elements(start, end, shape) => (start, end, shape),
            Row::Null => return Err(missing()),
            Row::Ragged => {
                return reject(
                    "shape",
                    "lists of several lengths".to_owned(),
                    "rows of one length".to_owned(),
                );
            }
        };
        if shape.is_empty() && one {
            shape.push(1);
        }
        if batched {
            shape.insert(0, 1);
        }
        if let Some(bytes) = &whole {
            if elements.null_count() > 0 && (start..end).any(|index| elements.is_null(index)) {
                return Err(missing());
            }
            let width = element_bytes(info.element);
            return Ok(RawTensor::numbers(info.element, shape, bytes.slice(start * width..end * width)));
        }
        let Some(cells) = &cells else {
            return reject("type", elements.data_type().to_string(), info.element.to_string());
        };
        let wrong = |_, scalar: &Scalar<'_>, wanted: &'static str| {
            Rejection::new(info.name.clone(), "type").value(scalar).limit(wanted)
        };
        tensor_of(info.element, shape, (start..end).map(|index| cells.get(index).ok_or_else(missing)), wrong)
    };
    rows.into_iter().map(tensor).collect()
}

/// The elements as they lie in the body, where they are what the input takes: not truths, which Arrow packs, and no brain floats,
/// which are floats there.
fn whole(elements: &ArrayRef, info: &TensorInfo) -> Option<Bytes> {
    let packed = matches!(info.element, ElementType::Bool | ElementType::BF16 | ElementType::String);
    if packed || *elements.data_type() != leaf(info.element) {
        return None;
    }
    let (data, width) = (elements.to_data(), element_bytes(info.element));
    let buffer = data.buffers().first()?.slice_with_length(data.offset() * width, data.len() * width);
    Some(Bytes::from_owner(Held(buffer)))
}

/// A buffer that bytes are parts of.
struct Held(Buffer);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// A column without its lists.
struct Peeled {
    leaf: ArrayRef,
    rows: Vec<Row>,
}

/// Where a row's elements are.
enum Row {
    /// From here to there, in these sizes.
    Elements(usize, usize, Vec<usize>),
    Null,
    /// Its lists differ in length.
    Ragged,
}

fn peel(array: &ArrayRef) -> Peeled {
    let row =
        |index| if array.is_null(index) { Row::Null } else { Row::Elements(index, index + 1, Vec::new()) };
    let mut peeled = Peeled { leaf: ArrayRef::clone(array), rows: (0..array.len()).map(row).collect() };
    loop {
        let array = ArrayRef::clone(&peeled.leaf);
        let ends: Box<dyn Fn(usize) -> usize> = match array.data_type() {
            DataType::FixedSizeList(_, size) => {
                let size = usize::try_from(*size).unwrap_or(0);
                peeled.leaf = ArrayRef::clone(array.as_fixed_size_list().values());
                Box::new(move |index| index * size)
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                peeled.leaf = ArrayRef::clone(list.values());
                Box::new(move |index| usize::try_from(list.offsets()[index]).unwrap_or(0))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>().clone();
                peeled.leaf = ArrayRef::clone(list.values());
                Box::new(move |index| usize::try_from(list.offsets()[index]).unwrap_or(0))
            }
            _ => return peeled,
        };
        peeled.rows.iter_mut().for_each(|row| row.descend(&array, &ends));
    }
}

impl Row {
    /// From lists to their elements.
    fn descend(&mut self, lists: &ArrayRef, ends: &dyn Fn(usize) -> usize) {
        let Self::Elements(start, end, sizes) = self else { return };
        if (*start..*end).any(|index| lists.is_null(index)) {
            *self = Self::Null;
            return;
        }
        let length = |index: usize| ends(index + 1) - ends(index);
        let first = (*start..*end).next().map_or(0, length);
        if (*start..*end).any(|index| length(index) != first) {
            *self = Self::Ragged;
            return;
        }
        sizes.push(first);
        (*start, *end) = (ends(*start), ends(*end));
    }
}
