"""Makes a tiny model of the shape of BGE-M3 for tests, its weights drawn by lot: tiny_xlmr.py FOLDER

An XLM-RoBERTa encoder with a Unigram vocabulary and pooling by the first token, as safetensors and as graphs: `model.onnx`
and `model_int8.onnx` from make_onnx.py; `bge_m3.onnx`, whose outputs have the names that exporters of BGE-M3 give them; and
some that cannot be used.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

import make_onnx

WIDTH, HEADS, LAYERS, INNER, PLACES = 32, 4, 2, 64, 66
WORDS = ["▁the", "▁bad", "ger", "▁cold", "er", "▁van", "▁keeps", "▁ice", "▁cream", "▁okapi", "▁", "▁колд", "冷", "蔵"]


def vocabulary() -> list[list]:
    """Whole pieces are likelier than letters. The first four are the special tokens of XLM-RoBERTa, at their places."""
    letters = [*map(chr, range(ord("a"), ord("z") + 1)), *"<>/.,!?0123456789"]
    pieces = [[piece, 0.0] for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    return pieces + [[word, -2.0 - at / 8] for at, word in enumerate(WORDS)] + [[letter, -9.0] for letter in letters]


def tokenizer(pieces: list[list]) -> dict:
    """As in XLM-RoBERTa's file, but for the normalizer, whose table of characters is that model's own."""
    special = [
        {"id": at, "content": pieces[at][0], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for at in range(4)
    ]
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    frame = [
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "</s>", "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": frame,
            "pair": [*frame, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {name: {"id": name, "ids": [at], "tokens": [name]} for name, at in (("<s>", 0), ("</s>", 2))},
        },
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": False},
    }


def weights(pieces: int) -> dict[str, np.ndarray]:
    """Every tensor of the encoder."""
    lot = np.random.default_rng(7)
    tensors = {}

    def some(name: str, *shape: int) -> None:
        tensors[f"roberta.{name}"] = lot.normal(0.0, 0.3, shape).astype(np.float32)

    def norm(name: str) -> None:
        some(f"{name}.bias", WIDTH)
        tensors[f"roberta.{name}.weight"] = lot.normal(1.0, 0.1, WIDTH).astype(np.float32)

    def linear(name: str, into: int, out: int) -> None:
        some(f"{name}.weight", out, into)
        some(f"{name}.bias", out)

    some("embeddings.word_embeddings.weight", pieces, WIDTH)
    some("embeddings.position_embeddings.weight", PLACES, WIDTH)
    some("embeddings.token_type_embeddings.weight", 1, WIDTH)
    norm("embeddings.LayerNorm")
    for at in range(LAYERS):
        layer = f"encoder.layer.{at}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", WIDTH, INNER)
        linear(f"{layer}.output.dense", INNER, WIDTH)
        norm(f"{layer}.output.LayerNorm")
    return tensors


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """The same graph with other names at its ends."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for node in other.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for end in [*other.graph.input, *other.graph.output]:
        end.name = names.get(end.name, end.name)
    return other


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    pieces = vocabulary()
    config = {
        "model_type": "xlm-roberta", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": INNER, "max_position_embeddings": PLACES, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "pad_token_id": 1, "position_embedding_type": "absolute", "type_vocab_size": 1, "vocab_size": len(pieces),
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(pieces)))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    save_file(weights(len(pieces)), folder / "model.safetensors")
    make_onnx.write(folder, folder)
    model = onnx.load(folder / "model.onnx")
    onnx.save(renamed(model, {"input_ids": "words"}), folder / "odd_input.onnx")
    onnx.save(renamed(model, {"token_embeddings": "first", "sentence_embedding": "second"}), folder / "odd_output.onnx")
    bge = renamed(model, {"token_embeddings": "colbert_vecs", "sentence_embedding": "dense_vecs"})
    bge.graph.node.append(helper.make_node("ReduceMax", ["colbert_vecs"], ["sparse_vecs"], axes=[2], keepdims=1))
    bge.graph.output.append(helper.make_tensor_value_info("sparse_vecs", TensorProto.FLOAT, ["batch", "tokens", 1]))
    onnx.save(bge, folder / "bge_m3.onnx")


if __name__ == "__main__":
    main()
