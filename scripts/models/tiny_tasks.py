"""Writes tests/data/tasks: models of some kilobytes for every ready-made task, and what Python answers with them.

    python scripts/models/tiny_tasks.py     with numpy, onnx, onnxruntime, tokenizers and Pillow

Their weights are random (seeded), so answers mean nothing; but each token, its place, its part of a pair and the mask change
them, and so does each pixel. The tokenizer is that of tests/data/tiny-sentiment. What Hugging Face's pipelines do
around a model is written here once more, by its description, in numpy and Pillow.
"""

import io
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
OUT = DATA / "tasks"
VOCABULARY, WIDTH, PLACES, PADDING = 112, 8, 32, 0
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SIDE, COLOURS = 6, ["red", "green", "blue", "grey"]

TEXTS = [
    "The soup was warm and the bread was fresh.",
    "Nothing to complain about.",
    "a",
    "GOOD",
    "Größe passt, Farbe schön.",
    "good bad " * 40,
]
PAIRS = [
    ["Was the soup warm?", "The soup was warm and the bread was fresh."],
    ["Was the soup warm?", "The zip broke on the second day."],
    ["a", "good " * 60],
    ["good " * 60, "bad " * 60],
]


class Graph:
    """Nodes and weights of a model, gathered."""

    def __init__(self):
        self.nodes, self.weights = [], []
        self.random = np.random.default_rng(11)

    def weight(self, name, *shape):
        """A random tensor."""
        return self.constant(name, self.random.standard_normal(shape).astype(np.float32))

    def constant(self, name, value):
        """A tensor of the graph's own."""
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        """Adds a node; returns its output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def save(self, name, inputs, outputs):
        """Writes the model into the folder of test data."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, OUT / f"{name}.onnx")


def floats(name, *shape):
    """Declares a tensor of floats."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def states(graph):
    """A state for each token, of which the mask, the parts and all tokens before and after are a part."""
    words = graph.node("Gather", [graph.weight("words", VOCABULARY, WIDTH), "input_ids"], "word")
    parts = graph.node("Gather", [graph.weight("parts", 2, WIDTH), "token_type_ids"], "part")
    places = graph.weight("places", PLACES, WIDTH)
    ones = graph.node("ConstantOfShape", [graph.node("Shape", ["input_ids"], "shape")], "zeros",
                      value=helper.make_tensor("zero", TensorProto.INT64, [1], [1]))
    numbers = graph.node("CumSum", [ones, graph.constant("axis", np.int64(1))], "numbers", exclusive=1)
    place = graph.node("Gather", [places, numbers], "place")
    one = graph.node("Tanh", [graph.node("Add", [graph.node("Add", [words, parts], "known"), place], "all")], "one")
    mask = graph.node("Cast", [graph.node("Unsqueeze", ["attention_mask", graph.constant("last", np.array([2]))], "mask")],
                      "mask_float", to=TensorProto.FLOAT)
    total = graph.node("ReduceSum", [graph.node("Mul", [one, mask], "kept"), graph.constant("tokens", np.array([1]))], "sum")
    count = graph.node("ReduceSum", [mask, "tokens"], "count")
    mean = graph.node("Div", [total, count], "mean")
    return graph.node("Add", [one, mean], "last_hidden_state"), mean


def inputs():
    """The inputs of a text model."""
    return [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in INPUTS]


def text_models():
    """Writes a model of states, of classes, of one score, and of a class for each token."""
    graph = Graph()
    states(graph)
    graph.save("states", inputs(), [floats("last_hidden_state", "batch", "sequence", WIDTH)])
    for name, classes in (("classes", 3), ("score", 1)):
        graph = Graph()
        _, mean = states(graph)
        flat = graph.node("Squeeze", [mean, "tokens"], "flat")
        graph.node("MatMul", [flat, graph.weight("head", WIDTH, classes)], "logits")
        graph.save(name, inputs(), [floats("logits", "batch", classes)])
    graph = Graph()
    each, _ = states(graph)
    graph.node("MatMul", [each, graph.weight("head", WIDTH, len(ENTITIES))], "logits")
    graph.save("entities", inputs(), [floats("logits", "batch", "sequence", len(ENTITIES))])


def image_model():
    """Writes a model of images."""
    graph = Graph()
    flat = graph.node("Flatten", ["pixel_values"], "flat")
    graph.node("MatMul", [flat, graph.weight("head", 3 * SIDE * SIDE, len(COLOURS))], "logits")
    pixels = floats("pixel_values", "batch", 3, "height", "width")
    graph.save("image", [pixels], [floats("logits", "batch", len(COLOURS))])


def table_model():
    """Writes a model of a table: numbers with missing ones, and a column of its own for a code."""
    graph = Graph()
    numbers = graph.node("Where", [graph.node("IsNaN", ["numbers"], "gone"), graph.constant("instead", np.float32(-1)), "numbers"], "known")
    score = graph.node("MatMul", [numbers, graph.constant("weights", np.array([[1.0], [10.0], [100.0]], np.float32))], "part")
    code = graph.node("Mul", [graph.node("Cast", ["code"], "code_float", to=TensorProto.FLOAT), graph.constant("thousand", np.float32(1000))], "other")
    graph.node("Add", [score, code], "score")
    code = helper.make_tensor_value_info("code", TensorProto.INT64, ["batch", 1])
    graph.save("table", [floats("numbers", "batch", 3), code], [floats("score", "batch", 1)])


def run(name, feeds):
    """The first output of a model."""
    return onnxruntime.InferenceSession(str(OUT / f"{name}.onnx")).run(None, feeds)[0]


def tokenizer():
    """The tokenizer, cutting as the models' settings say."""
    made = Tokenizer.from_file(str(DATA / "tiny-sentiment" / "tokenizer.json"))
    made.enable_truncation(PLACES)
    return made


def encoded(*texts):
    """A text or a pair as a batch of one."""
    encoding = tokenizer().encode(*texts)
    rows = (encoding.ids, encoding.attention_mask, encoding.type_ids)
    return {name: np.array([row], np.int64) for name, row in zip(INPUTS, rows)}


def short(numbers):
    """Floats with the digits that matter."""
    return [float(f"{number:.7g}") for number in np.asarray(numbers).flat]


def softmax(scores):
    """Probabilities of which one is right."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def pooled(rows):
    """The ways of pooling, by their names in settings."""
    return {
        "cls": rows[0],
        "mean": rows.mean(axis=0),
        "max": rows.max(axis=0),
        "mean_sqrt_length": rows.sum(axis=0) / np.sqrt(len(rows)),
        "last_token": rows[-1],
    }


def text_answers():
    """What Python answers to the texts and pairs."""
    embeddings, classes, entities, scores = [], [], [], []
    for text in TEXTS:
        feeds = encoded(text)
        tokens = int(feeds["attention_mask"].sum())
        ways = {way: short(row) for way, row in pooled(run("states", feeds)[0]).items()}
        embeddings.append({"text": text, "tokens": tokens, "pooled": ways})
        classes.append({"text": text, "logits": short(run("classes", feeds)), "scores": short(softmax(run("classes", feeds)))})
        entities.append({"text": text, "scores": [short(row) for row in softmax(run("entities", feeds)[0])]})
    for query, text in PAIRS:
        logit = float(run("score", encoded(query, text))[0, 0])
        scores.append({"query": query, "text": text, "logit": logit, "score": 1 / (1 + float(np.exp(-logit)))})
    return {"embeddings": embeddings, "classes": classes, "entities": entities, "scores": scores}


def picture():
    """A picture in which no two rows and columns are alike."""
    rows, columns = np.mgrid[0:24, 0:40]
    levels = [rows * 10, columns * 6, (rows * columns) % 251]
    return Image.fromarray(np.stack(levels, axis=-1).astype(np.uint8), "RGB")


def save_pictures():
    """Writes the picture as each kind of file: without loss, so that all have the same pixels, but for JPEG."""
    image = picture()
    image.save(OUT / "picture.png", optimize=True)
    image.save(OUT / "picture.webp", lossless=True)
    image.save(OUT / "picture.jpg", quality=95, subsampling=0)
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # It is to be turned by 90 degrees clockwise.
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    (OUT / "turned.png").write_bytes(buffer.getvalue())


PREPARATIONS = {
    "squeezed": {"do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 2,
                 "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2]},
    "cut": {"do_resize": True, "size": {"shortest_edge": 8}, "resample": 3, "do_center_crop": True,
            "crop_size": {"height": SIDE, "width": SIDE}, "do_normalize": False},
    "kept_part": {"do_resize": True, "size": {"shortest_edge": SIDE}, "crop_pct": 0.875, "resample": 1,
                  "do_rescale": True, "rescale_factor": 0.01, "do_normalize": False},
}


def prepared(image, settings):
    """What Hugging Face's processors make of a picture."""
    size, kept = settings["size"], settings.get("crop_pct")
    cut = settings.get("crop_size", {}).get("width") if settings.get("do_center_crop") else None
    if "height" in size:
        target = (size["width"], size["height"])
    else:
        side = int(size["shortest_edge"] / kept) if kept else size["shortest_edge"]
        cut = size["shortest_edge"] if kept else cut
        width, height = image.size
        target = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    levels = np.asarray(image.resize(target, settings["resample"]), np.float32)
    if cut:
        top, left = (levels.shape[0] - cut) // 2, (levels.shape[1] - cut) // 2
        levels = levels[top : top + cut, left : left + cut]
    levels = levels * np.float32(settings.get("rescale_factor", 1 / 255))
    if settings["do_normalize"]:
        levels = (levels - np.array(settings["image_mean"])) / np.array(settings["image_std"])
    return levels.transpose(2, 0, 1)[None].astype(np.float32)


def image_answers():
    """What Python answers to the picture, by how it is prepared."""
    answers = {}
    for name, settings in PREPARATIONS.items():
        scores = softmax(run("image", {"pixel_values": prepared(picture(), settings)}))
        answers[name] = {"settings": settings, "scores": short(scores)}
    return answers


def main():
    """Writes everything."""
    OUT.mkdir(parents=True, exist_ok=True)
    text_models()
    image_model()
    table_model()
    save_pictures()
    answers = {"labels": {"entities": ENTITIES, "image": COLOURS}, "text": text_answers(), "image": image_answers()}
    (OUT / "expected.json").write_text(json.dumps(answers, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
