//! Reads from an ONNX file where its weights are stored, and skips over everything else.
//!
//! Field numbers are those of `onnx.proto`. The weights themselves are never read.

use std::fs::File;
use std::path::Path;

use rten_onnx::protobuf::{DecodeMessage, Fields, OwnedValues, ProtobufError, ReadValue, ValueReader};

/// What a file says about the weights outside of it.
#[derive(Debug, Default)]
pub struct Graph {
    /// The weights of the main graph that are stored in files of their own.
    pub outside: Vec<StoredTensor>,
    /// How many numbers the weights of the main graph have that are stored in the file itself.
    pub numbers_inside: u64,
    /// Whether something inside a node, such as the branch of an `If`, is stored in a file of its own.
    pub nodes_store_outside: bool,
}

/// A tensor whose data lie in a file of their own.
#[derive(Debug, Default)]
pub struct StoredTensor {
    pub name: String,
    /// Sizes; empty for a single number.
    pub shape: Vec<i64>,
    /// The number of its type in `TensorProto.DataType`.
    pub element: i32,
    /// The file, relative to the folder of the model.
    pub file: String,
    pub offset: u64,
    /// As written; without it, the data reach to the end of the file.
    pub length: Option<u64>,
    outside: bool,
}

impl Graph {
    pub fn read(path: &Path) -> Result<Self, ProtobufError> {
        let file = File::open(path)?;
        Ok(Model::decode(ValueReader::from_file(file))?.0)
    }
}

#[derive(Default)]
struct Model(Graph);

impl DecodeMessage for Model {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut model = Self::default();
        while let Some(mut field) = fields.next()? {
            match field.number() {
                7 => model.0 = Graph::decode_field(&mut field)?,
                _ => field.skip()?,
            }
        }
        Ok(model)
    }
}

impl DecodeMessage for Graph {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut graph = Self::default();
        while let Some(mut field) = fields.next()? {
            match field.number() {
                1 => graph.nodes_store_outside |= Node::decode_field(&mut field)?.stores_outside,
                5 => graph.outside.push(StoredTensor::decode_field(&mut field)?),
                _ => field.skip()?,
            }
        }
        let inside = graph.outside.extract_if(.., |tensor| !tensor.outside);
        graph.numbers_inside = inside.map(|tensor| tensor.numbers()).fold(0, u64::saturating_add);
        Ok(graph)
    }
}

/// A node, or an attribute of one: both hold what may hold tensors.
#[derive(Default)]
struct Node {
    stores_outside: bool,
}

#[derive(Default)]
struct Attribute {
    stores_outside: bool,
}

impl DecodeMessage for Node {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut node = Self::default();
        while let Some(mut field) = fields.next()? {
            match field.number() {
                5 => node.stores_outside |= Attribute::decode_field(&mut field)?.stores_outside,
                _ => field.skip()?,
            }
        }
        Ok(node)
    }
}

impl DecodeMessage for Attribute {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut attribute = Self::default();
        while let Some(mut field) = fields.next()? {
            attribute.stores_outside |= match field.number() {
                5 | 10 => StoredTensor::decode_field(&mut field)?.outside,
                6 | 11 => {
                    let graph = Graph::decode_field(&mut field)?;
                    graph.nodes_store_outside || !graph.outside.is_empty()
                }
                _ => {
                    field.skip()?;
                    false
                }
            };
        }
        Ok(attribute)
    }
}

impl DecodeMessage for StoredTensor {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut tensor = Self::default();
        while let Some(mut field) = fields.next()? {
            match field.number() {
                1 => {
                    for size in field.read_repeated_int64()? {
                        tensor.shape.push(size?);
                    }
                }
                2 => tensor.element = field.get_enum()?,
                8 => tensor.name = field.read_string()?,
                13 => tensor.place(Entry::decode_field(&mut field)?),
                14 => tensor.outside = field.get_enum()? == 1,
                _ => field.skip()?,
            }
        }
        Ok(tensor)
    }
}

impl StoredTensor {
    fn numbers(&self) -> u64 {
        self.shape.iter().map(|size| u64::try_from(*size).unwrap_or(0)).fold(1, u64::saturating_mul)
    }

    fn place(&mut self, Entry { key, value }: Entry) {
        match key.as_str() {
            "location" => self.file = value,
            "offset" => self.offset = value.parse().unwrap_or(0),
            "length" => self.length = value.parse().ok(),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Entry {
    key: String,
    value: String,
}

impl DecodeMessage for Entry {
    type Types = OwnedValues;

    fn decode_fields<R: ReadValue<Types = OwnedValues>>(
        mut fields: Fields<'_, R>,
    ) -> Result<Self, ProtobufError> {
        let mut entry = Self::default();
        while let Some(mut field) = fields.next()? {
            match field.number() {
                1 => entry.key = field.read_string()?,
                2 => entry.value = field.read_string()?,
                _ => field.skip()?,
            }
        }
        Ok(entry)
    }
}
