//! Rows of a table that stays in its file: each is read when it is asked for, straight into the output.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use ml_onnx::beside;
use ml_onnx::operators::STORED_ROWS;
use ort::Error;
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;
use zerocopy::IntoBytes;

/// [`STORED_ROWS`], of models in this folder.
pub struct Rows {
    pub folder: PathBuf,
}

/// A node of it.
pub struct Node {
    table: File,
    /// The byte of the file that the table begins at.
    offset: u64,
    rows: u64,
    /// Floats in a row.
    width: usize,
}

/// Why a row cannot be had.
#[derive(Debug, thiserror::Error)]
enum RowError {
    /// The table has no such row.
    #[error("there is no row {index} of {rows}")]
    Missing { index: i64, rows: u64 },
    /// The file has been cut short, or cannot be read.
    #[error("row {row} cannot be read: {error}")]
    Unreadable { row: u64, error: io::Error },
}

impl Operator for Rows {
    type Kernel<'attr> = Node;

    fn name(&self) -> &str {
        STORED_ROWS
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [OperatorInput::required(TensorElementType::Int64)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<Node> {
        let number = |name: &str| {
            let number = node.get::<i64>(name).and_then(|number| u64::try_from(number).ok());
            number.ok_or_else(|| Error::new(format!("it has no {name}")))
        };
        let file: String = node.get("file").ok_or_else(|| Error::new("it has no file"))?;
        let unreadable = |error| Error::new(format!("{file}: {error}"));
        let table = beside(&self.folder, &file).and_then(File::open).map_err(unreadable)?;
        let bytes = table.metadata().map_err(unreadable)?.len();
        let (offset, rows, width) = (number("offset")?, number("rows")?, number("width")?);
        let end = rows.checked_mul(width).and_then(|floats| floats.checked_mul(4)?.checked_add(offset));
        if end.is_none_or(|end| bytes < end) {
            return Err(Error::new(format!(
                "{file} does not hold {rows} rows of {width} floats at {offset}"
            )));
        }
        let width = usize::try_from(width).map_err(|_| Error::new("its rows are too wide"))?;
        Ok(Node { table, offset, rows, width })
    }
}

impl Kernel for Node {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let indices = context.input(0)?.ok_or_else(|| Error::new("there are no indices"))?;
        let (shape, indices) = indices.try_extract_tensor::<i64>()?;
        let shape: Vec<i64> = shape.iter().copied().chain([self.width as i64]).collect();
        let output = context.output(0, shape)?;
        let mut output = output.ok_or_else(|| Error::new("the output is left out"))?;
        let read = self.read(indices, output.try_extract_tensor_mut()?.1);
        read.map_err(|error| Error::new(error.to_string()))
    }
}

impl Node {
    fn read(&self, indices: &[i64], output: &mut [f32]) -> Result<(), RowError> {
        if self.width == 0 {
            return Ok(());
        }
        let mut last: Option<(i64, &[f32])> = None;
        for (&index, row) in indices.iter().zip(output.chunks_exact_mut(self.width)) {
            match last {
                // Padding is many times the same row.
                Some((known, same)) if known == index => row.copy_from_slice(same),
                _ => self.read_row(index, row)?,
            }
            last = Some((index, row));
        }
        Ok(())
    }

    /// Reads a row, the last of which is also -1, as ONNX counts.
    fn read_row(&self, index: i64, row: &mut [f32]) -> Result<(), RowError> {
        let from_end = || self.rows.checked_sub(index.unsigned_abs());
        let place = u64::try_from(index).ok().or_else(from_end).filter(|place| *place < self.rows);
        let place = place.ok_or(RowError::Missing { index, rows: self.rows })?;
        let offset = self.offset + place * size_of_val(row) as u64;
        let read = self.table.read_exact_at(row.as_mut_bytes(), offset);
        read.map_err(|error| RowError::Unreadable { row: place, error })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::{env, fs, process, thread};

    use super::*;

    fn table() -> Node {
        let mut file = unnamed();
        let floats: Vec<f32> = (0..9_u8).map(f32::from).collect();
        file.write_all(floats.as_bytes()).unwrap();
        // The first float is something else's.
        Node { table: file, offset: 4, rows: 4, width: 2 }
    }

    /// A file without a name.
    fn unnamed() -> File {
        let name = format!("rows-{}-{:?}", process::id(), thread::current().id());
        let path = env::temp_dir().join(name);
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        fs::remove_file(path).unwrap();
        file
    }

    #[test]
    fn rows_are_read_in_the_order_of_their_indices() {
        let mut output = [0.0; 12];
        table().read(&[3, 0, 0, 0, -1, 2], &mut output).unwrap();
        assert_eq!(output, [7.0, 8.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 7.0, 8.0, 5.0, 6.0]);
    }

    #[test]
    fn rows_that_are_not_there_are_named() {
        for index in [4, -5, i64::MAX, i64::MIN] {
            let refused = table().read(&[1, index], &mut [0.0; 4]).unwrap_err();
            assert!(refused.to_string().contains(&format!("there is no row {index} of 4")), "{refused}");
        }
        let shortened = Node { rows: 5, ..table() };
        let refused = shortened.read(&[4], &mut [0.0; 2]).unwrap_err();
        assert!(refused.to_string().contains("row 4 cannot be read"), "{refused}");
    }
}
