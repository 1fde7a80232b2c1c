"""Makes the tiny models beside this file, and what the published libraries
compute with them.

Every model has random weights and a vocabulary of some dozens of tokens, so that
its files are small, and the exact form of a model in use, so that running it in
another form gives other numbers. The vectors and logits are those of
sentence-transformers, which knows nothing of this repository.

    pip install torch==2.13.0 transformers==5.24.0 sentence-transformers==6.2.0 \
        tokenizers==0.23.3 safetensors==0.8.0 sentencepiece==0.2.3
    python make.py
"""

import io
import json
import shutil
from pathlib import Path

import sentencepiece
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

HERE = Path(__file__).parent
SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 48,
}
MAX_TOKENS = 32
# BERT with XLM-RoBERTa's tokenizer, as multilingual MiniLM models are.
REWRITTEN = "bert-unigram-rewritten"
WORDS = "the wing of a plane in air flow is what lift drag and speed at heat query passage".split()
LONG = "what is the drag of a wing in the flow " * 9
TEXTS = [
    "the wing of a plane",
    "What IS lift, and what is drag?",
    "Größe: naïve \uff37\uff29\uff2e\uff27 飞机 heat!",
    "speed",
    "",
    LONG,
]
QUERIES = ["what is lift", "Drag at speed?"]


def word_pieces():
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *",.:?!", "飞"]
    vocabulary += [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary += [word for word in WORDS if len(word) > 1]
    ids = {token: at for at, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return tokenizer, {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]",
                       "sep_token": "[SEP]", "mask_token": "[MASK]"}


def unigram(folder):
    """As XLM-RoBERTa's: SentencePiece's pieces behind four special tokens, and
    its compiled rules of normalization, here three."""
    rules = folder / "rules.tsv"
    rules.write_text("A0\t20\nFF37\t57\nFF29\t49\n")
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS), LONG, *TEXTS[:4], *QUERIES] * 20),
        model_writer=trained,
        model_type="unigram",
        vocab_size=90,
        hard_vocab_limit=False,
        normalization_rule_tsv=str(rules),
        num_threads=1,
    )
    rules.unlink()
    proto = sentencepiece_model_pb2.ModelProto.FromString(trained.getvalue())
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(piece.piece, piece.score) for piece in proto.pieces[3:]]
    vocabulary += [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    charsmap = proto.normalizer_spec.precompiled_charsmap
    assert charsmap
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer, {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>",
                       "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>",
                       "mask_token": "<mask>"}


def random_weights(model):
    """Far from what training starts with, so that every part counts."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "LayerNorm.weight" in name:
                weights.normal_(1.0, 0.2)
            else:
                weights.normal_(0.0, 0.3)


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def save(folder, kind, config, tokenizer, special, dtype, shard):
    model = kind(config)
    random_weights(model)
    model.eval().to(dtype).save_pretrained(folder, max_shard_size=shard)
    tokenizer.save(str(folder / "tokenizer.json"))
    token_types = ["token_type_ids"] if config.type_vocab_size > 1 else []
    write(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_TOKENS,
        "model_input_names": ["input_ids", *token_types, "attention_mask"],
        **special,
    })


def modules(folder, pooling, prompts):
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    write(folder / "modules.json", [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (kind, path) in enumerate(kinds)
    ])
    (folder / "2_Normalize").mkdir()
    write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": SIZES["hidden_size"],
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })
    write(folder / "sentence_bert_config.json",
          {"max_seq_length": MAX_TOKENS - 8, "do_lower_case": False})
    write(folder / "config_sentence_transformers.json",
          {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"})


def rewrite(folder):
    """Has today's library write the files in its own way."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    model.max_seq_length = MAX_TOKENS - 8
    shutil.rmtree(folder)
    model.save(str(folder), create_model_card=False)


def bert_config(tokenizer, **more):
    return BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=40,
                      type_vocab_size=2, layer_norm_eps=1e-12, **SIZES, **more)


def xlmr_config(tokenizer, **more):
    return XLMRobertaConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=42,
                            type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1,
                            bos_token_id=0, eos_token_id=2, **SIZES, **more)


def embed(folder):
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    rows = lambda texts, **how: model.encode(texts, batch_size=1, **how).astype(float).tolist()
    queries = [*QUERIES, LONG]
    prompted = {"prompt_name": "query"} if model.prompts.get("query") else {}
    passages = {"prompt_name": "passage"} if model.prompts.get("passage") else {}
    return {
        "queries": list(map(list, zip(queries, rows(queries, **prompted)))),
        "passages": list(map(list, zip(TEXTS, rows(TEXTS, **passages)))),
    }


def score(folder):
    model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    pairs = [[query, text] for query in QUERIES for text in TEXTS]
    logits = model.predict(pairs, batch_size=1, activation_fn=torch.nn.Identity())
    return {"pairs": [[*pair, float(logit)] for pair, logit in zip(pairs, logits)]}


def main():
    torch.manual_seed(19)
    bert, bert_special = word_pieces()
    xlmr, xlmr_special = unigram(HERE)
    e5 = {"query": "query: ", "passage": "passage: "}
    arctic = {"query": "what is the query: "}
    f32, one_label = torch.float32, {"num_labels": 1}
    embedders = {
        "bert-mean": (BertModel, bert_config(bert), f32, "1GB", "mean", {}),
        "bert-cls-prompt": (BertModel, bert_config(bert), f32, "1GB", "cls", arctic),
        "bert-tanh-f16": (BertModel, bert_config(bert, hidden_act="gelu_new"), torch.float16,
                          "1GB", "mean", {}),
        "bert-bf16-shards": (BertModel, bert_config(bert), torch.bfloat16, "10KB", "mean", {}),
        REWRITTEN: (BertModel, bert_config(xlmr), f32, "1GB", "mean", e5),
        "xlmr-mean-prompts": (XLMRobertaModel, xlmr_config(xlmr), f32, "1GB", "mean", e5),
        "xlmr-cls": (XLMRobertaModel, xlmr_config(xlmr), f32, "1GB", "cls", {}),
    }
    rerankers = {
        "bert-reranker": (BertForSequenceClassification, bert_config(bert, **one_label)),
        "xlmr-reranker": (XLMRobertaForSequenceClassification, xlmr_config(xlmr, **one_label)),
    }
    golden = {}
    for name, (kind, config, dtype, shard, pooling, prompts) in embedders.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        of_bert = kind is BertModel and name != REWRITTEN
        tokenizer = (bert, bert_special) if of_bert else (xlmr, xlmr_special)
        save(folder, kind, config, *tokenizer, dtype, shard)
        modules(folder, pooling, prompts)
        if name == REWRITTEN:
            rewrite(folder)
        golden[name] = embed(folder)
    for name, (kind, config) in rerankers.items():
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        of_bert = kind is BertForSequenceClassification
        tokenizer = (bert, bert_special) if of_bert else (xlmr, xlmr_special)
        save(folder, kind, config, *tokenizer, f32, "1GB")
        golden[name] = score(folder)
    (HERE / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
