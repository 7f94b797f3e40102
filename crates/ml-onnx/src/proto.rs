//! The messages of an ONNX file, with the names and field numbers of `onnx.proto`.
//!
//! Only what this crate works with is a field of its own; the rest is kept in `unknown` and written back.

mod attribute;
mod node;
mod tensor;

use bytes::Bytes;

use crate::wire::{Packed, message};

pub use attribute::Value;
pub use tensor::{DataType, External, TensorError};

message! {
    /// A whole file.
    Model = "ModelProto" {
        /// The version of the format; from 3 on, operators have versions of their own.
        ir_version: Option<i64> = 1,
        /// The graph that is run.
        graph: Option<Graph> = 7,
        /// Which version of each set of operators the graph is written in.
        opset_imports: Vec<OperatorSet> = 8,
        /// The author's notes.
        metadata: Vec<Entry> = 14,
    }
}

message! {
    /// The version of a set of operators.
    OperatorSet = "OperatorSetIdProto" {
        /// The set; none or an empty text is ONNX's own.
        domain: Option<String> = 1,
        /// Its version.
        version: Option<i64> = 2,
    }
}

message! {
    /// A key and its value.
    Entry = "StringStringEntryProto" {
        /// The key.
        key: Option<String> = 1,
        /// The value.
        value: Option<String> = 2,
    }
}

message! {
    /// Nodes, in an order in which they can run, and what they take from outside.
    Graph = "GraphProto" {
        /// The nodes: none takes what a later one makes.
        nodes: Vec<Node> = 1,
        /// The graph's name.
        name: String = 2,
        /// Constants by name: the weights.
        initializers: Vec<Tensor> = 5,
        /// What a run takes; before version 4 of the format, also the names of all initialisers.
        inputs: Vec<ValueInfo> = 11,
        /// What a run gives.
        outputs: Vec<ValueInfo> = 12,
        /// What is known about the values in between.
        value_infos: Vec<ValueInfo> = 13,
        /// Constants that are mostly zeros.
        sparse_initializers: Vec<SparseTensor> = 15,
    }
}

message! {
    /// One operation.
    Node = "NodeProto" {
        /// The values that it takes; an empty name is an input left out.
        inputs: Vec<String> = 1,
        /// The values that it gives; an empty name is an output left out.
        outputs: Vec<String> = 2,
        /// Its name, which need not be there.
        name: String = 3,
        /// The operator.
        op_type: String = 4,
        /// What it is to do, beside its inputs.
        attributes: Vec<Attribute> = 5,
        /// The set that the operator is of; empty for ONNX's own.
        domain: String = 7,
    }
}

message! {
    /// A named constant of a node.
    Attribute = "AttributeProto" {
        /// Its name.
        name: String = 1,
        /// A number.
        f: Option<f32> = 2,
        /// A whole number.
        i: Option<i64> = 3,
        /// A text.
        s: Option<Bytes> = 4,
        /// A tensor.
        t: Option<Box<Tensor>> = 5,
        /// A graph, such as the body of a loop.
        g: Option<Box<Graph>> = 6,
        /// Numbers.
        floats: Vec<f32> = 7,
        /// Whole numbers.
        ints: Vec<i64> = 8,
        /// Texts.
        strings: Vec<Bytes> = 9,
        /// Tensors.
        tensors: Vec<Tensor> = 10,
        /// Graphs.
        graphs: Vec<Graph> = 11,
        /// Which of the fields is the value.
        kind: Option<i32> = 20,
    }
}

message! {
    /// Numbers, or texts, in a shape.
    Tensor = "TensorProto" {
        /// The sizes; none for a single element.
        dims: Vec<i64> = 1,
        /// The type of the elements, see [`DataType`].
        data_type: Option<i32> = 2,
        /// Elements of type `float`.
        float_data: Packed<f32> = 4,
        /// Elements of types of up to 32 bits, one in each number.
        int32_data: Packed<i32> = 5,
        /// Texts.
        string_data: Vec<Bytes> = 6,
        /// Elements of type `int64`.
        int64_data: Packed<i64> = 7,
        /// The value's name.
        name: String = 8,
        /// The elements as they lie in memory, the lowest byte first.
        raw_data: Option<Bytes> = 9,
        /// Elements of type `double`.
        double_data: Packed<f64> = 10,
        /// Elements of types `uint32` and `uint64`.
        uint64_data: Packed<u64> = 11,
        /// Where the elements lie in another file.
        external_data: Vec<Entry> = 13,
        /// 1 where they lie in another file.
        data_location: Option<i32> = 14,
    }
}

message! {
    /// A tensor given by its elements that are not zero.
    SparseTensor = "SparseTensorProto" {
        /// These elements; the name is that of the whole.
        values: Option<Tensor> = 1,
    }
}

message! {
    /// What is known about a value.
    ValueInfo = "ValueInfoProto" {
        /// Its name.
        name: String = 1,
        /// Its type.
        kind: Option<Type> = 2,
    }
}

message! {
    /// The type of a value. Sequences, maps and the like are kept as they are.
    Type = "TypeProto" {
        /// A tensor.
        tensor: Option<TensorType> = 1,
    }
}

message! {
    /// The type of a tensor.
    TensorType = "TypeProto.Tensor" {
        /// The type of its elements, see [`DataType`].
        element: Option<i32> = 1,
        /// Its shape; none where even the number of sizes is unknown.
        shape: Option<Shape> = 2,
    }
}

message! {
    /// Sizes.
    Shape = "TensorShapeProto" {
        /// One for each axis.
        dims: Vec<Dim> = 1,
    }
}

message! {
    /// One size; unknown when neither field is there.
    Dim = "TensorShapeProto.Dimension" {
        /// A fixed size.
        value: Option<i64> = 1,
        /// A name for a size that varies.
        param: Option<String> = 2,
    }
}

impl Model {
    /// Returns the version of a set of operators; ONNX's own has the domain "".
    pub fn opset(&self, domain: &str) -> Option<i64> {
        let found = |set: &&OperatorSet| same_domain(set.domain.as_deref().unwrap_or(""), domain);
        self.opset_imports.iter().find(found).map(|set| set.version.unwrap_or(0))
    }

    /// Sets a note of the author's, in place of one with the same key.
    pub fn set_metadata(&mut self, key: &str, value: &str) {
        self.metadata.retain(|entry| entry.key.as_deref() != Some(key));
        let (key, value) = (Some(key.to_owned()), Some(value.to_owned()));
        self.metadata.push(Entry { key, value, ..Entry::default() });
    }
}

/// `ai.onnx` is another name of ONNX's own set.
pub(crate) fn same_domain(one: &str, other: &str) -> bool {
    let short = |domain| if domain == "ai.onnx" { "" } else { domain };
    short(one) == short(other)
}

impl ValueInfo {
    /// Says that `name` is a tensor of these elements and sizes.
    pub fn tensor(name: &str, element: DataType, dims: &[Dim]) -> Self {
        let shape = Some(Shape { dims: dims.to_vec(), ..Shape::default() });
        let tensor = Some(TensorType { element: Some(element.number()), shape, ..TensorType::default() });
        let kind = Some(Type { tensor, ..Type::default() });
        Self { name: name.to_owned(), kind, ..Self::default() }
    }

    /// Returns the type of the elements, of a tensor.
    pub fn element(&self) -> Option<DataType> {
        DataType::of(self.kind.as_ref()?.tensor.as_ref()?.element?)
    }

    /// Returns the sizes, of a tensor whose number of sizes is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        Some(&self.kind.as_ref()?.tensor.as_ref()?.shape.as_ref()?.dims)
    }
}

impl Dim {
    /// Makes a fixed size.
    pub fn fixed(size: i64) -> Self {
        Self { value: Some(size), ..Self::default() }
    }

    /// Makes a size that varies.
    pub fn named(name: &str) -> Self {
        Self { param: Some(name.to_owned()), ..Self::default() }
    }
}
