"""Writes a BERT-shaped encoder as an ONNX graph: token embeddings, transformer layers, mean pooling, L2 norm.

The nodes stand as PyTorch exports them, with operators of the standard set only (opset 17), so that any
runtime loads the file. ONNX Runtime 1.31 fuses GELU with its bias, and the scaling into the scores'
product. Its fused Attention it finds up to opset 12 only, where LayerNormalization is not an operator yet;
measured on a CPU, that was no faster.
"""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = (
    8  # The one that goes with opset 17; without it the file would depend on the onnx package's version.
)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Config:
    """The sizes of an encoder, named as in the `config.json` of a Hugging Face BERT."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    layer_norm_eps: float

    @classmethod
    def of(cls, config):
        """Takes what matters from a whole config.json."""
        return cls(**{name: config[name] for name in cls.__dataclass_fields__})

    @property
    def head_size(self):
        """The width of one attention head."""
        return self.hidden_size // self.num_attention_heads


class Graph:
    """Nodes and constants in the order of their writing; a node is named after its only output."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def node(self, operator, inputs, output, **attributes):
        """Adds a node and returns the name of its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, value, dtype=None):
        """Adds a constant, once, and returns its name."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype), name)
        return name

    def integers(self, *values):
        """A small int64 vector: axes, starts, shapes."""
        return self.constant("int64." + "_".join(map(str, values)), values, np.int64)

    def number(self, name, value):
        """A float scalar."""
        return self.constant(name, np.array(value, np.float32).reshape(()))


class Encoder:
    """Writes an encoder's nodes; `weights` maps the tensor names of a Hugging Face BERT to float32 arrays."""

    def __init__(self, graph, weights, config):
        self.graph, self.weights, self.config = graph, weights, config

    def sentence_embedding(self):
        """Everything from the inputs to the normalised embedding of each text."""
        mask = self.attention_bias()
        states = self.embeddings()
        for number in range(self.config.num_hidden_layers):
            states = self.layer(f"encoder.layer.{number}", states, mask)
        return self.pool(states)

    def attention_bias(self):
        """0 where a token is, -10000 where padding is, to be added to the attention scores."""
        graph = self.graph
        mask = graph.node("Unsqueeze", ["attention_mask", graph.integers(1)], "mask.1")
        mask = graph.node("Unsqueeze", [mask, graph.integers(2)], "mask.2")
        mask = graph.node("Cast", [mask], "mask.float", to=TensorProto.FLOAT)
        inverse = graph.node("Sub", [graph.number("one", 1), mask], "mask.inverse")
        return graph.node("Mul", [inverse, graph.number("mask.filter", -10000)], "mask.bias")

    def embeddings(self):
        """Word, segment and position vectors, added and normalised."""
        graph, table = self.graph, "embeddings.{}_embeddings.weight"
        words = self.lookup(table.format("word"), "input_ids")
        segments = self.lookup(table.format("token_type"), "token_type_ids")
        positions = self.lookup(table.format("position"), self.position_ids())
        total = graph.node("Add", [words, segments], "embeddings.word_and_type")
        total = graph.node("Add", [total, positions], "embeddings.sum")
        return self.layer_norm(total, "embeddings.LayerNorm")

    def position_ids(self):
        """0, 1, 2… up to the length of the batch: a slice of a table, by a length that stays a vector.

        A scalar length (Gather on the shape) made ONNX Runtime 1.31's optimiser write a broken Slice.
        """
        graph = self.graph
        table = graph.constant("position_ids", np.arange(self.config.max_position_embeddings)[None], np.int64)
        shape = graph.node("Shape", ["input_ids"], "input_shape")
        length = graph.node(
            "Slice", [shape, graph.integers(1), graph.integers(2), graph.integers(0)], "length"
        )
        return graph.node("Slice", [table, graph.integers(0), length, graph.integers(1)], "positions")

    def lookup(self, name, ids):
        """Rows of an embedding table."""
        return self.graph.node("Gather", [self.graph.constant(name, self.weights[name]), ids], f"{name}.rows")

    def layer(self, name, states, mask):
        """One transformer layer: attention, then feed-forward, each added to its input and normalised."""
        context = self.attention(f"{name}.attention.self", states, mask)
        context = self.linear(context, f"{name}.attention.output.dense")
        states = self.add_and_norm(context, states, f"{name}.attention.output.LayerNorm")
        inner = self.gelu(self.linear(states, f"{name}.intermediate.dense"), f"{name}.gelu")
        outer = self.linear(inner, f"{name}.output.dense")
        return self.add_and_norm(outer, states, f"{name}.output.LayerNorm")

    def attention(self, name, states, mask):
        """Multi-head self-attention, without its output projection."""
        graph, config = self.graph, self.config
        query = self.heads(states, f"{name}.query", [0, 2, 1, 3])
        key = self.heads(states, f"{name}.key", [0, 2, 3, 1])
        value = self.heads(states, f"{name}.value", [0, 2, 1, 3])
        scores = graph.node("MatMul", [query, key], f"{name}.scores")
        scale = graph.number("attention.scale", np.sqrt(config.head_size))
        scores = graph.node("Div", [scores, scale], f"{name}.scaled")
        scores = graph.node("Add", [scores, mask], f"{name}.masked")
        shares = graph.node("Softmax", [scores], f"{name}.shares", axis=-1)
        context = graph.node("MatMul", [shares, value], f"{name}.context_heads")
        context = graph.node("Transpose", [context], f"{name}.context_rows", perm=[0, 2, 1, 3])
        return graph.node("Reshape", [context, graph.integers(0, 0, config.hidden_size)], f"{name}.context")

    def heads(self, states, name, order):
        """A projection of the states, split into heads."""
        graph, config = self.graph, self.config
        shape = graph.integers(0, 0, config.num_attention_heads, config.head_size)
        split = graph.node("Reshape", [self.linear(states, name), shape], f"{name}.split")
        return graph.node("Transpose", [split], f"{name}.heads", perm=order)

    def linear(self, states, name):
        """A dense layer. The matrix is stored as MatMul reads it: transposed from how PyTorch keeps it."""
        graph = self.graph
        matrix = graph.constant(f"{name}.weight_transposed", self.weights[f"{name}.weight"].T)
        product = graph.node("MatMul", [states, matrix], f"{name}.product")
        return graph.node(
            "Add", [product, graph.constant(f"{name}.bias", self.weights[f"{name}.bias"])], name
        )

    def add_and_norm(self, states, skipped, name):
        """The residual connection."""
        return self.layer_norm(self.graph.node("Add", [states, skipped], f"{name}.sum"), name)

    def layer_norm(self, states, name):
        """A LayerNormalization with its own scale and shift."""
        parts = [
            self.graph.constant(f"{name}.{part}", self.weights[f"{name}.{part}"])
            for part in ("weight", "bias")
        ]
        epsilon = self.config.layer_norm_eps
        return self.graph.node(
            "LayerNormalization", [states, *parts], f"{name}.output", axis=-1, epsilon=epsilon
        )

    def gelu(self, states, name):
        """The exact GELU: x * (1 + erf(x / sqrt(2))) / 2."""
        graph = self.graph
        inner = graph.node("Div", [states, graph.number("sqrt_2", np.sqrt(2))], f"{name}.scaled")
        inner = graph.node("Erf", [inner], f"{name}.erf")
        inner = graph.node("Add", [inner, graph.number("one", 1)], f"{name}.shifted")
        inner = graph.node("Mul", [states, inner], f"{name}.doubled")
        return graph.node("Mul", [inner, graph.number("half", 0.5)], name)

    def pool(self, states):
        """The mean over the tokens of each text, scaled to length one."""
        graph = self.graph
        mask = graph.node("Unsqueeze", ["attention_mask", graph.integers(2)], "pool.mask")
        mask = graph.node("Cast", [mask], "pool.mask_float", to=TensorProto.FLOAT)
        kept = graph.node("Mul", [states, mask], "pool.kept")
        total = graph.node("ReduceSum", [kept, graph.integers(1)], "pool.sum", keepdims=0)
        count = graph.node("ReduceSum", [mask, graph.integers(1)], "pool.count", keepdims=0)
        count = graph.node("Max", [count, graph.number("pool.least_count", 1e-9)], "pool.count_or_least")
        mean = graph.node("Div", [total, count], "pool.mean")
        norm = graph.node("ReduceL2", [mean], "pool.norm", axes=[1], keepdims=1)
        norm = graph.node("Max", [norm, graph.number("pool.least_norm", 1e-12)], "pool.norm_or_least")
        return graph.node("Div", [mean, norm], "sentence_embedding")


def classify(graph, embedding, head):
    """Appends a logistic regression: the columns of `probabilities` are negative and positive.

    The score is split over both columns, so that the softmax of the two is the sigmoid of the score.
    """
    half = np.array(head["weight"], np.float32) / 2
    bias = np.float32(head["bias"]) / 2
    matrix = graph.constant("head.weight", np.stack([-half, half], axis=1))
    shift = graph.constant("head.bias", np.array([-bias, bias], np.float32))
    logits = graph.node("Gemm", [embedding, matrix, shift], "logits")
    return graph.node("Softmax", [logits], "probabilities", axis=-1)


def sentiment_model(weights, config, head, metadata):
    """The whole model: an encoder with a sentiment head, and what is said about it in the file."""
    graph = Graph()
    classify(graph, Encoder(graph, weights, config).sentence_embedding(), head)
    outputs = [floats("sentence_embedding", config.hidden_size), floats("probabilities", 2)]
    return model(graph, "sentiment", padded_inputs(), outputs, metadata)


def encoder_model(weights, config):
    """The encoder alone."""
    graph = Graph()
    Encoder(graph, weights, config).sentence_embedding()
    return model(graph, "encoder", padded_inputs(), [floats("sentence_embedding", config.hidden_size)], {})


def floats(name, width):
    """An output of `width` numbers per text."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def padded_inputs():
    """The inputs of a padded batch: every text is as long as the longest."""
    return [helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "sequence"]) for one in INPUTS]


def model(graph, name, inputs, outputs, metadata):
    """Wraps a graph up as an ONNX model."""
    body = helper.make_graph(graph.nodes, name, inputs, outputs, list(graph.constants.values()))
    wrapped = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(wrapped, metadata)
    return wrapped
