"""Writes the same encoder as bert.py for packed batches: the tokens of all texts in one row, without padding.

Everything that looks at one token at a time (linear layers, normalisations, activations) runs on [tokens, hidden];
only attention, which looks at the tokens of one text, is given them as [batch, sequence]. The idea is that of
ByteTransformer (Zhai et al., 2023); here it is done with operators of the standard set, so that any runtime loads it.
"""

from onnx import TensorProto, helper

import bert

# For B texts of T tokens together, the longest of S tokens.
INPUTS = {
    "input_ids": ["tokens"],  # the tokens, one text after the other
    "position_ids": ["tokens"],  # the place of each in its text
    "unpack": ["batch", "sequence"],  # which of the T tokens stands there; anything where there is none
    "pack": ["tokens"],  # where each token stands among the B * S places
    "attention_mask": ["batch", "sequence"],  # 1 where a token stands
}


class PackedEncoder(bert.Encoder):
    """Writes an encoder's nodes for packed batches."""

    def embeddings(self):
        """Word, segment and position vectors of each token; all tokens are of the first segment."""
        graph, table = self.graph, "embeddings.{}_embeddings.weight"
        words = self.lookup(table.format("word"), "input_ids")
        segment = graph.constant("segment", self.weights[table.format("token_type")][0])
        positions = self.lookup(table.format("position"), "position_ids")
        total = graph.node("Add", [words, segment], "embeddings.word_and_type")
        total = graph.node("Add", [total, positions], "embeddings.sum")
        return self.layer_norm(total, "embeddings.LayerNorm")

    def heads(self, states, name, order):
        """A projection of the states, one row for each text, split into heads."""
        graph, config = self.graph, self.config
        rows = graph.node("Gather", [self.linear(states, name), "unpack"], f"{name}.rows", axis=0)
        shape = graph.integers(0, 0, config.num_attention_heads, config.head_size)
        split = graph.node("Reshape", [rows, shape], f"{name}.split")
        return graph.node("Transpose", [split], f"{name}.heads", perm=order)

    def attention(self, name, states, mask):
        """Multi-head self-attention; what comes out of it is packed again."""
        graph = self.graph
        context = super().attention(name, states, mask)
        flat = graph.node("Reshape", [context, graph.integers(-1, self.config.hidden_size)], f"{name}.flat")
        return graph.node("Gather", [flat, "pack"], f"{name}.packed", axis=0)

    def pool(self, states):
        """The mean over the tokens of each text, scaled to length one."""
        rows = self.graph.node("Gather", [states, "unpack"], "pool.rows", axis=0)
        return super().pool(rows)


def sentiment_model(weights, config, head, metadata):
    """The whole model: an encoder with a sentiment head, and what is said about it in the file."""
    graph = bert.Graph()
    bert.classify(graph, PackedEncoder(graph, weights, config).sentence_embedding(), head)
    outputs = [bert.floats("sentence_embedding", config.hidden_size), bert.floats("probabilities", 2)]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, sizes) for name, sizes in INPUTS.items()]
    return bert.model(graph, "sentiment_packed", inputs, outputs, {**metadata, "batches": "packed"})
