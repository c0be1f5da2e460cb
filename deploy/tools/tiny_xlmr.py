"""Makes a tiny model of the shape of BGE-M3 for tests, its weights drawn by lot: tiny_xlmr.py FOLDER

An XLM-RoBERTa encoder with a Unigram vocabulary and pooling by the first token, as safetensors and as graphs: `model.onnx`
and `model_int8.onnx` from make_onnx.py; `bge_m3.onnx`, whose outputs have the names that exporters of BGE-M3 give them; and
some that cannot be used. In the folder `weighing` below it the same model stands with BGE-M3's head that weighs tokens, as
`sparse_linear.safetensors`; `token_weights.json` says of some texts what each of their tokens counts, found here, with
numpy, from the tokens' vectors that onnxruntime gives.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
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


def head() -> dict[str, np.ndarray]:
    """What makes a token's weight of its vector. About half of the weights come out above 0."""
    lot = np.random.default_rng(11)
    return {"weight": lot.normal(0.0, 0.3, (1, WIDTH)).astype(np.float32), "bias": np.array([0.05], np.float32)}


# Texts in the pieces of the vocabulary above, with what stands around them; "<unk>" is a sign that it does not know.
PIECES = {
    "the badger": ["▁the", "▁bad", "ger"],
    "The van keeps the van cold": ["▁the", "▁van", "▁keeps", "▁the", "▁van", "▁cold"],
    "cold € ice": ["▁cold", "▁", "<unk>", "▁ice"],
    "€": ["▁", "<unk>"],
    "": [],
}


def token_weights(folder: Path, pieces: list[list], of: dict[str, np.ndarray]) -> dict[str, dict[int, float]]:
    """As FlagEmbedding's `sparse_embedding` and `_process_token_weights` have it: relu(W h + b), for each token the highest of
    its places; cls, eos, pad and unk count nothing."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    ids = {piece: at for at, (piece, _) in enumerate(pieces)}
    found: dict[str, dict[int, float]] = {}
    for text, words in PIECES.items():
        tokens = [ids[word] for word in ("<s>", *words, "</s>")]
        row = np.array([tokens], np.int64)
        hidden = session.run(["token_embeddings"], {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]
        numbers = np.maximum(hidden.astype(np.float64) @ of["weight"][0].astype(np.float64) + of["bias"][0], 0.0)
        weights: dict[int, float] = {}
        for token, number in zip(tokens, numbers):
            if token > 3 and number > 0.0:
                weights[token] = max(weights.get(token, 0.0), float(number))
        found[text] = weights
    return found


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
    own = head()
    bge.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(own["weight"].T), "sparse_weight"))
    bge.graph.initializer.append(numpy_helper.from_array(own["bias"], "sparse_bias"))
    bge.graph.node.append(helper.make_node("MatMul", ["colbert_vecs", "sparse_weight"], ["sparse_product"]))
    bge.graph.node.append(helper.make_node("Add", ["sparse_product", "sparse_bias"], ["sparse_sum"]))
    bge.graph.node.append(helper.make_node("Relu", ["sparse_sum"], ["sparse_vecs"]))
    bge.graph.output.append(helper.make_tensor_value_info("sparse_vecs", TensorProto.FLOAT, ["batch", "tokens", 1]))
    onnx.save(bge, folder / "bge_m3.onnx")
    weighing = folder / "weighing"
    (weighing / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors", "model.onnx", "bge_m3.onnx", "odd_output.onnx"):
        shutil.copy(folder / file, weighing / file)
    save_file(own, weighing / "sparse_linear.safetensors")
    (weighing / "token_weights.json").write_text(json.dumps(token_weights(folder, pieces, own)))


if __name__ == "__main__":
    main()
