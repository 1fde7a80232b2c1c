"""Measures ONNX Runtime (floats, and 8 bits by dynamic quantization) and
sentence-transformers with the texts of throughput.rs, and throughput.rs itself, in
turns, so that all of them meet the same load of the machine: on one core, and on
all. Prints the best of the turns for each.

    pip install torch==2.13.0 transformers==5.24.0 sentence-transformers==6.2.0 \
        tokenizers==0.23.3 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
    python peers.py FOLDER [TURNS]

FOLDER has model.safetensors and tokenizer.json of all-MiniLM-L6-v2.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from sentence_transformers import SentenceTransformer, models
from tokenizers import Tokenizer
from transformers import BertModel

CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 30522,
    "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "max_position_embeddings": 512, "type_vocab_size": 2,
    "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
}
TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256,
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
    "mask_token": "[MASK]", "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
}
TEXT = "wing " * 126
QUERY = "what similarity laws must be obeyed when constructing aeroelastic models"
# As in throughput.rs.
TEXTS = 128
ROUNDS = 3
BATCH = 32
QUERIES = 200


def lay_out(source, folder):
    for name in ["model.safetensors", "tokenizer.json"]:
        os.symlink(Path(source).resolve() / name, folder / name)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))


class Rows(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, ids, mask, kinds):
        found = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=kinds)
        return found.last_hidden_state


def export(folder):
    """The model as ONNX, with the operators that ONNX Runtime fuses for BERT, and
    the same in 8 bits."""
    model = BertModel.from_pretrained(
        folder, dtype=torch.float32, add_pooling_layer=False, attn_implementation="eager"
    )
    model = Rows(model.eval())
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "tokens"} for name in [*names, "rows"]}
    plain, fused, integer = (folder / f"{name}.onnx" for name in ["plain", "fused", "integer"])
    torch.onnx.export(model, (ids, ids, torch.zeros_like(ids)), plain, input_names=names,
                      output_names=["rows"], dynamic_axes=axes, opset_version=17, dynamo=False)
    optimized = optimizer.optimize_model(str(plain), model_type="bert", num_heads=12,
                                         hidden_size=384, opt_level=1)
    print("fused:", optimized.get_fused_operator_statistics())
    optimized.save_model_to_file(str(fused))
    quantize_dynamic(fused, integer, weight_type=QuantType.QInt8, per_channel=True,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})
    return {"ONNX Runtime, f32": plain, "ONNX Runtime, f32, fused": fused,
            "ONNX Runtime, int8, fused": integer}


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_embed(session, tokenizer):
    def embed(texts):
        for at in range(0, len(texts), BATCH):
            encodings = tokenizer.encode_batch_fast(texts[at:at + BATCH])
            ids = numpy.array([encoding.ids for encoding in encodings], dtype=numpy.int64)
            mask = numpy.ones_like(ids)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": 0 * ids}
            feed = {name.name: feed[name.name] for name in session.get_inputs()}
            rows = session.run(None, feed)[0].mean(axis=1)
            rows / numpy.linalg.norm(rows, axis=1, keepdims=True)
    return embed


def transformer_embed(folder, threads):
    network = models.Transformer(str(folder), model_kwargs={"dtype": torch.float32})
    pooling = models.Pooling(network.get_embedding_dimension(), "mean")
    model = SentenceTransformer(modules=[network, pooling, models.Normalize()], device="cpu")

    def embed(texts):
        torch.set_num_threads(threads)
        model.encode(texts, batch_size=BATCH)
    return embed


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turn(embed):
    embed([TEXT] * BATCH)
    queries = sorted(timed(lambda: embed([QUERY])) for _ in range(QUERIES))
    return {
        "128 tokens": TEXTS / min(timed(lambda: embed([TEXT] * TEXTS)) for _ in range(ROUNDS)),
        "one query, median": -1000 * queries[len(queries) // 2],
    }


def ours():
    """What throughput.rs prints, negative for times, of which less is better."""
    command = ["cargo", "bench", "-q", "-p", "ragtime-embed", "--bench", "throughput"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = re.compile(r"^(f32|int8), (.+?) +([\d.]+) (texts/s|ms)$", re.M)
    return {(f"Ragtime, {form}", what): float(number) * (-1 if unit == "ms" else 1)
            for form, what, number, unit in line.findall(said) if what != "load"}


def main():
    source, turns = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    best = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        lay_out(source, folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(256)
        cores = sorted(os.sched_getaffinity(0))
        exported = export(folder)
        for at in range(turns):
            for name, some in [("one core", cores[-1:]), ("all cores", cores)]:
                # Of this thread, and of those that it starts.
                os.sched_setaffinity(0, some)
                runs = {name: onnx_embed(session(path, len(some)), tokenizer)
                        for name, path in exported.items()}
                runs["sentence-transformers, f32"] = transformer_embed(folder, len(some))
                found = ours()
                for peer, embed in runs.items():
                    found |= {(peer, what): number for what, number in turn(embed).items()}
                for (peer, what), number in found.items():
                    key = (peer, f"{what}, {name}")
                    best[key] = max(number, best.get(key, number))
            print(f"turn {at + 1} of {turns} done", flush=True)
    for what in sorted({what for _, what in best}):
        print(what)
        for (name, which), number in sorted(best.items()):
            if which == what:
                unit = "ms" if number < 0 else "texts/s"
                print(f"  {name:<28} {abs(number):>8.2f} {unit}")


if __name__ == "__main__":
    main()
