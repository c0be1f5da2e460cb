"""Writes the ONNX graph of a BERT-type sentence model from its safetensors, and one in 8 bits: make_onnx.py FOLDER [TARGET]

Reads `config.json`, `model.safetensors` and, where it is there, `1_Pooling/config.json`; writes `model.onnx` (32 bits) and
`model_int8.onnx` (weights of 8 bits, products quantised while they run) into TARGET, or FOLDER itself. No PyTorch: needs
the packages of onnx.txt. BERT, RoBERTa and XLM-RoBERTa, which differ in where positions begin.

The graph takes `input_ids` and `attention_mask` and gives `token_embeddings` and `sentence_embedding`: the mean of a
text's tokens or its first one, of length 1.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors import safe_open

# onnxruntime 1.17, the oldest that is loaded, reads them.
OPSET = 17
IR = 8
FIRST = "embeddings.word_embeddings.weight"


class Graph:
    """Nodes and weights in the making. Every method gives the name of what it adds."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.prefix = next(name for name in tensors if name.endswith(FIRST)).removesuffix(FIRST)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str, transposed: bool = False) -> str:
        values = self.tensors[self.prefix + name].astype(np.float32)
        return self.constant(name, np.ascontiguousarray(values.T) if transposed else values)

    def constant(self, name: str, values: np.ndarray) -> str:
        self.weights.setdefault(name, numpy_helper.from_array(values, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        return self.constant("whole_" + "_".join(map(str, values)), np.array(values, np.int64))

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: object) -> str:
        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"node_{len(self.nodes)}", **attributes))
        return out

    def linear(self, values: str, name: str) -> str:
        product = self.node("MatMul", values, self.weight(f"{name}.weight", transposed=True))
        return self.node("Add", product, self.weight(f"{name}.bias"))

    def norm(self, values: str, name: str, epsilon: float, out: str | None = None) -> str:
        weights = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", values, *weights, out=out, axis=-1, epsilon=epsilon)

    def gelu(self, values: str) -> str:
        erf = self.node("Erf", self.node("Div", values, self.number(2.0**0.5)))
        product = self.node("Mul", values, self.node("Add", erf, self.number(1.0)))
        return self.node("Mul", product, self.number(0.5))


def embedded(graph: Graph, config: dict) -> str:
    """The sum of what a token, its place and its kind give."""
    words = graph.node("Gather", graph.weight(FIRST), "input_ids")
    if config["model_type"] == "bert":
        length = graph.node("Slice", graph.node("Shape", "input_ids"), graph.whole(1), graph.whole(2))
        zero, one = (graph.constant(name, np.array(n, np.int64)) for name, n in (("zero", 0), ("one", 1)))
        places = graph.node("Range", zero, graph.node("Squeeze", length), one)
    else:
        # Counted from the place after that of the padding, and padding itself does not count.
        padding = graph.constant("padding", np.array(config.get("pad_token_id", 0), np.int64))
        real = graph.node("Cast", graph.node("Equal", "input_ids", padding), to=TensorProto.INT64)
        real = graph.node("Sub", graph.whole(1), real)
        counted = graph.node("Mul", graph.node("CumSum", real, graph.whole(1)), real)
        places = graph.node("Add", counted, padding)
    values = graph.node("Add", words, graph.node("Gather", graph.weight("embeddings.position_embeddings.weight"), places))
    kind = graph.tensors[graph.prefix + "embeddings.token_type_embeddings.weight"][0].astype(np.float32)
    values = graph.node("Add", values, graph.constant("embeddings.first_kind", kind))
    return graph.norm(values, "embeddings.LayerNorm", config["layer_norm_eps"])


def attended(graph: Graph, values: str, layer: str, mask: str, heads: int, width: int) -> str:
    """Self-attention of one layer."""
    split, size = graph.whole(0, 0, heads, width // heads), graph.number((width // heads) ** 0.5)

    def part(name: str, order: list[int]) -> str:
        parts = graph.node("Reshape", graph.linear(values, f"{layer}.attention.self.{name}"), split)
        return graph.node("Transpose", parts, perm=order)

    scores = graph.node("MatMul", part("query", [0, 2, 1, 3]), part("key", [0, 2, 3, 1]))
    scores = graph.node("Add", graph.node("Div", scores, size), mask)
    mixed = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), part("value", [0, 2, 1, 3]))
    mixed = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.node("Reshape", mixed, graph.whole(0, 0, width))


def pooled(graph: Graph, values: str, mask: str, first: bool) -> None:
    """One vector of length 1 for each text."""
    if first:
        vector = graph.node("Gather", values, graph.constant("zero", np.array(0, np.int64)), axis=1)
    else:
        mask = graph.node("Unsqueeze", mask, graph.whole(2))
        vector = graph.node("ReduceSum", graph.node("Mul", values, mask), graph.whole(1), keepdims=0)
    length = graph.node("ReduceL2", vector, axes=[1], keepdims=1)
    graph.node("Div", vector, graph.node("Max", length, graph.number(1e-12)), out="sentence_embedding")


def built(config: dict, tensors: dict[str, np.ndarray], first: bool) -> onnx.ModelProto:
    """The whole model."""
    graph, width, epsilon = Graph(tensors), config["hidden_size"], config.get("layer_norm_eps", 1e-12)
    config.setdefault("layer_norm_eps", epsilon)
    values = embedded(graph, config)
    real = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    mask = graph.node("Mul", graph.node("Sub", graph.number(1.0), real), graph.number(-10000.0))
    mask = graph.node("Unsqueeze", mask, graph.whole(1, 2))
    for at in range(config["num_hidden_layers"]):
        layer, last = f"encoder.layer.{at}", at + 1 == config["num_hidden_layers"]
        mixed = attended(graph, values, layer, mask, config["num_attention_heads"], width)
        mixed = graph.node("Add", graph.linear(mixed, f"{layer}.attention.output.dense"), values)
        values = graph.norm(mixed, f"{layer}.attention.output.LayerNorm", epsilon)
        wide = graph.gelu(graph.linear(values, f"{layer}.intermediate.dense"))
        wide = graph.node("Add", graph.linear(wide, f"{layer}.output.dense"), values)
        values = graph.norm(wide, f"{layer}.output.LayerNorm", epsilon, out="token_embeddings" if last else None)
    pooled(graph, values, real, first)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    outputs = [
        helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, ["batch", "tokens", width]),
        helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", width]),
    ]
    body = helper.make_graph(graph.nodes, "encoder", inputs, outputs, list(graph.weights.values()))
    model = helper.make_model(body, producer_name="copydesk", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR
    onnx.checker.check_model(model)
    return model


def read(folder: Path) -> tuple[dict, dict[str, np.ndarray], bool]:
    """What the files of a model say: its shape, its weights, and whether the first token stands for a text."""
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] not in ("bert", "roberta", "xlm-roberta") or config.get("hidden_act", "gelu") != "gelu":
        sys.exit(f"{folder}: {config['model_type']} with {config.get('hidden_act')} is not supported")
    pooling = folder / "1_Pooling" / "config.json"
    first = pooling.is_file() and bool(json.loads(pooling.read_text()).get("pooling_mode_cls_token"))
    with safe_open(folder / "model.safetensors", "np") as file:
        return config, {name: file.get_tensor(name) for name in file.keys()}, first


def write(folder: Path, target: Path) -> None:
    """Both graphs of a model."""
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(built(*read(folder)), target / "model.onnx")
    # One scale for each column of a matrix. Weights without a sign suit every processor: with one, those without VNNI
    # overflow in the sums of 16 bits.
    quantize_dynamic(target / "model.onnx", target / "model_int8.onnx", per_channel=True, weight_type=QuantType.QUInt8)


def main() -> None:
    folder = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else folder
    write(folder, target)
    for name in ("model.onnx", "model_int8.onnx"):
        print(f"{target / name}: {(target / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
