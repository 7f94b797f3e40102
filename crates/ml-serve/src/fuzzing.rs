//! The readers as requests reach them, for the fuzz targets in `fuzz/`: compiled by `cargo fuzz` and nothing else.
//!
//! What is read comes back as plain data, so that a target can say what must be true of it.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use ml_core::{Dimension, ElementType, Engine, ModelOptions, RuntimeChoice, TensorInfo, ThreadPlan};
use prost::Message;

use crate::arrow::{Reader, Table, column};
use crate::config::{Column, ColumnKind, Missing};
use crate::grpc::proto::{ModelConfig, ModelInferRequest};
use crate::oip::binary::{self, Form};
use crate::oip::datatype;
use crate::oip::inputs::Contract;
use crate::oip::json::Scanner;
use crate::oip::request::{InferRequest, Sent};
use crate::onnx::json::{Wanted, read_item};
use crate::onnx::{Columns, OnnxPipeline, TensorModel};
use crate::repository::{Settled, config};
use crate::routes::ndjson::lines::Lines;
use crate::routes::oip::body::{Encoding, decoded};
use crate::state::Limits;
use crate::tensors::{RawTensor, Tensors};
use crate::{ApiError, body};

/// Every type of element, by the protocol's name.
pub const DATATYPES: [&str; 14] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32",
    "FP64", "BYTES",
];

/// Rows of a piece of a table, as the route has them.
const PIECE_ROWS: usize = 256;

/// A tensor that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub name: String,
    pub datatype: &'static str,
    pub shape: Vec<usize>,
    /// Its elements as they travel in binary; none where they are not in the request.
    pub bytes: Option<Bytes>,
}

impl Read {
    fn of(name: &str, tensor: &RawTensor) -> Self {
        let (name, datatype) = (name.to_owned(), datatype::name(tensor.element));
        Self { name, datatype, shape: tensor.shape.clone(), bytes: Some(binary::wire_bytes(tensor)) }
    }
}

fn element(datatype: &str) -> ElementType {
    datatype::of_name(datatype).unwrap_or(ElementType::F32)
}

fn limits(item_bytes_max: usize, call_items_max: usize) -> Limits {
    Limits {
        body_bytes_max: usize::MAX,
        item_bytes_max,
        call_items_max,
        shared_memory_bytes_max: 0,
        remote_settings: false,
        concurrent_requests_max: 1,
        request_timeout: Duration::from_secs(1),
    }
}

/// Splits a batch in JSON into the texts of its items; those that are too large are none.
pub fn batch(body: &str, item_bytes_max: usize, call_items_max: usize) -> Option<Vec<Option<&str>>> {
    let items = crate::routes::batch::items(body, limits(item_bytes_max, call_items_max)).ok()?;
    Some(items.into_iter().map(Result::ok).collect())
}

/// Reads an item of one input named `x`; a size that is `None` is the caller's.
pub fn item(text: &str, datatype: &str, shape: Option<&[Option<usize>]>, batched: bool) -> Option<Read> {
    let size =
        |size: &Option<usize>| size.map_or_else(|| Dimension::Dynamic(String::new()), Dimension::Fixed);
    let shape = shape.map(|sizes| sizes.iter().map(size).collect());
    let inputs = [TensorInfo { name: "x".to_owned(), element: element(datatype), shape }];
    let read = read_item(serde_json::from_str(text).ok()?, Wanted { inputs: &inputs, batched }).ok()?;
    assert!(read.0.iter().all(|tensor| tensor.view().is_ok()), "a tensor does not fill its shape");
    read.0.first().map(|tensor| Read::of("x", tensor))
}

/// Returns whether a document is taken for JSON where it is only skipped.
pub fn is_document(json: &[u8]) -> bool {
    let mut scanner = Scanner::new(json);
    scanner.skip().is_ok() && scanner.end().is_ok()
}

/// Reads a document that is one number.
pub fn number(json: &[u8]) -> Option<f64> {
    let mut scanner = Scanner::new(json);
    let number = scanner.float().ok()?;
    scanner.end().ok().map(|()| number)
}

/// Reads a document that is one text.
pub fn text(json: &[u8]) -> Option<String> {
    let mut scanner = Scanner::new(json);
    let text = scanner.string().ok()?.into_owned();
    scanner.end().ok().map(|()| text)
}

/// Reads a request of the Open Inference Protocol in JSON.
pub fn request(json: &[u8]) -> Option<Vec<Read>> {
    InferRequest::read(json).ok().map(|request| reads(&request))
}

/// Reads a request as gRPC carries it.
pub fn message(bytes: &[u8]) -> Option<Vec<Read>> {
    crate::grpc::codec::check_request(bytes).ok()?;
    let message = ModelInferRequest::decode(bytes).ok()?;
    crate::grpc::request::read(message).ok().map(|request| reads(&request))
}

fn reads(request: &InferRequest) -> Vec<Read> {
    let read = |input: &crate::oip::request::Input| {
        let bytes = match &input.data {
            Sent::Read(data) => {
                let (element, shape) = (input.element, input.shape.clone());
                Some(binary::wire_bytes(&RawTensor { element, shape, data: data.clone() }))
            }
            Sent::Follows(_) | Sent::Shared(_) => None,
        };
        let (name, datatype) = (input.name.clone(), datatype::name(input.element));
        Read { name, datatype, shape: input.shape.clone(), bytes }
    };
    request.inputs.iter().map(read).collect()
}

/// A model that requests and tables are read for.
pub struct Model(TensorModel);

impl Model {
    /// Loads a model whose first sizes are all the caller's.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        Self::load_with(path, |_, _| Ok(None))
    }

    /// Loads a model of one input with four columns: `number`, which may be missing, `whole`, `choice` and `truth`.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load_table(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let column = |name: &str, kind, values, missing| Column {
            name: name.to_owned(),
            input: None,
            kind: Some(kind),
            values,
            missing,
        };
        let choices = Some(vec!["a".to_owned(), "b".to_owned()]);
        let columns = [
            column("number", ColumnKind::Number, None, Missing::NotANumber),
            column("whole", ColumnKind::Whole, None, Missing::Refused),
            column("choice", ColumnKind::Text, choices, Missing::Value("b".into())),
            column("truth", ColumnKind::Bool, None, Missing::Refused),
        ];
        Self::load_with(path, |model, settled| Ok(Some(Columns::of(model, settled, &columns)?)))
    }

    fn load_with(
        path: &Path,
        columns: impl FnOnce(&ml_core::Model, &Settled) -> Result<Option<Columns>, ml_core::LoadError>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let threads = ThreadPlan { runners: 1, intra_op: 1, wide: 1, ..ThreadPlan::default() };
        let options = ModelOptions { runtime: RuntimeChoice::Rten, threads, ..ModelOptions::default() };
        let model = ml_core::Model::load(path, &options)?;
        let config = ModelConfig { max_batch_size: 1024, ..ModelConfig::default() };
        let settled = Settled { config, batched: true, ..Settled::default() };
        let columns = columns(&model, &settled)?;
        let engine = Engine::new(OnnxPipeline::new(model, settled, 64));
        Ok(Self(TensorModel::new(engine, false, columns, 1)))
    }

    /// Reads an item in JSON.
    pub fn item(&self, text: &str) -> Option<Vec<Read>> {
        self.0.read(text).ok().map(|item| self.tensors(&item))
    }

    /// Reads a request of the Open Inference Protocol, whose header tells how much of the body is JSON: as it was sent, and
    /// as the model takes it.
    pub fn infer(&self, header: Option<&[u8]>, body: &Bytes) -> Option<(Vec<Read>, Option<Vec<Read>>)> {
        let contract = Contract { name: "m", version: 1, pipeline: self.0.pipeline() };
        let request = binary::read(contract, Form::read(header).ok()?, body).ok()?;
        let sent = reads(&request);
        Some((sent, contract.inputs(request.inputs).ok().map(|inputs| self.tensors(&inputs))))
    }

    fn tensors(&self, item: &Tensors) -> Vec<Read> {
        let infos = &self.0.pipeline().signature().inputs;
        let read = |(info, tensor): (&TensorInfo, &RawTensor)| {
            assert!(tensor.view().is_ok(), "a tensor does not fill its shape");
            Read::of(&info.name, tensor)
        };
        infos.iter().zip(&*item.0).map(read).collect()
    }

    /// Reads the rows of a table, piece by piece; returns the rows that are items, and those that are none.
    pub fn rows(&self, table: &ReadTable) -> Option<(usize, usize)> {
        let reader = Reader::new(&self.0, &table.0.schema).ok()?;
        let (mut items, mut refused) = (0, 0);
        for piece in table.0.pieces(PIECE_ROWS) {
            for row in reader.items(&piece) {
                match row {
                    Ok(row) => items += self.tensors(&row).len().min(1),
                    Err(_) => refused += 1,
                }
            }
        }
        Some((items, refused))
    }
}

/// A table that was read.
pub struct ReadTable(Table);

impl ReadTable {
    /// Reads an IPC stream.
    pub fn read(body: Bytes) -> Option<Self> {
        Table::read(body).ok().map(Self)
    }

    /// Returns its rows, in pieces.
    pub fn pieces(&self) -> Vec<RecordBatch> {
        self.0.pieces(PIECE_ROWS)
    }

    /// Reads each column as the input of a model that takes elements of a type.
    pub fn columns_as(&self, datatype: &str) {
        let info = TensorInfo { name: "x".to_owned(), element: element(datatype), shape: None };
        for piece in self.pieces() {
            for array in piece.columns() {
                let tensors = column(array, &info, false, true);
                assert_eq!(tensors.len(), array.len(), "a row has no tensor, and no reason");
                let fill = tensors.iter().flatten().all(|tensor| tensor.view().is_ok());
                assert!(fill, "a tensor does not fill its shape");
            }
        }
    }
}

/// Cuts chunks into lines; one that is too long is the number of its bytes.
pub fn lines<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    item_bytes_max: usize,
) -> Vec<Result<Bytes, usize>> {
    let (mut cutter, mut lines, mut all) = (Lines::new(item_bytes_max), VecDeque::new(), Vec::new());
    let mut take = |lines: &mut VecDeque<Result<Bytes, ApiError>>| {
        all.extend(lines.drain(..).map(|line| {
            line.map_err(|error| if let ApiError::ItemTooLarge { bytes, .. } = error { bytes } else { 0 })
        }));
    };
    for chunk in chunks {
        cutter.push(chunk, &mut lines);
        take(&mut lines);
    }
    cutter.end(&mut lines);
    take(&mut lines);
    all
}

/// Undoes the compression of a body.
pub fn inflated(gzip: bool, body: Bytes, bytes_max: usize, json_bytes: usize) -> Option<Bytes> {
    decoded(if gzip { Encoding::Gzip } else { Encoding::Deflate }, body, bytes_max, json_bytes).ok()
}

/// Reads a model's configuration as text, and writes it as JSON.
pub fn config_of_text(text: &str) -> Option<String> {
    Some(config::config_json(&config::of_text(text).ok()?).expect("what is read can be written").to_string())
}

/// Reads a model's configuration as JSON, and writes it so.
pub fn config_of_json(json: &str) -> Option<String> {
    Some(config::config_json(&config::of_json(json).ok()?).expect("what is read can be written").to_string())
}

/// Returns the text of a body.
pub fn utf8(bytes: &[u8]) -> Option<&str> {
    body::text(bytes).ok()
}
