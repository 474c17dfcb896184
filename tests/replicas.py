"""Replicas of the four published models: their classes and kinds of tokenizer, random weights.

A replica's folder looks as the model's repository on the hub does: the same kinds of file with the
same kinds of key in the weights, and files beside them that nobody needs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import sacremoses
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BioGptConfig,
    BioGptForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
)

KINDS = ("bert", "biobert", "gpt2", "biogpt")
REPOSITORIES = {
    "bert": "google-bert/bert-base-cased",
    "biobert": "dmis-lab/biobert-v1.1",
    "gpt2": "openai-community/gpt2-medium",
    "biogpt": "microsoft/biogpt",
}
#: What the hub has no safetensors of.
PICKLED = frozenset({"biobert", "biogpt"})
LICENSES = {"bert": "apache-2.0", "biobert": "apache-2.0", "gpt2": "mit", "biogpt": "mit"}
ARCHITECTURES = {"bert": "encoder", "biobert": "encoder", "gpt2": "decoder", "biogpt": "decoder"}

WIDTH, HEADS = 32, 4
SHORT: dict[str, Any] = {
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
}

# Plain ASCII, so that Greek letters and emoji are unknown to a WordPiece vocabulary made from it.
TEXT = """\
The patient was admitted with fever, chills and a productive cough lasting three weeks.
No evidence of acute fracture or dislocation was seen on the radiograph of the left hip.
Expression of the IL-2 gene requires NF-kappa B binding to the promoter in T cells.
IL-2 receptor alpha chain mRNA was increased in activated human T lymphocytes.
Activation of NF-kappaB by TNF-alpha was blocked in Jurkat cells treated with aspirin.
The transcription factor GATA-1 binds the beta-globin enhancer in erythroid cells.
Glucocorticoid receptor levels in peripheral blood mononuclear cells were low (p < 0.05).
Patients with a history of hypertension & diabetes mellitus received metformin daily.
He denies chest pain, nausea, vomiting, diarrhea, dysuria or shortness of breath.
She has no known drug allergies and takes no medication at home.
Phosphorylation of the tyrosine kinase Jak3 was observed after 5 min of stimulation.
The 5'-UTR of the mRNA contains an AP-1 site, which is "weak" but functional.
HIV-1 long terminal repeat activity was measured by a luciferase reporter assay.
Serum potassium was 5.6 mmol/l and creatinine > 2.0 mg/dl on the second day.
An MRI of the brain showed a small infarct in the territory of the middle cerebral artery.
Mutations of the BRCA1 tumor suppressor gene predispose women to breast cancer.
The protein kinase C inhibitor H-7 abolished the induction of c-fos and c-jun.
Monocytes and macrophages express CD14; B lymphocytes express CD19 and CD20.
Seizures, muscle weakness and global developmental delay began in the first year of life.
Abnormal shape of the heart valve with a loud systolic murmur was noted at birth.
Retinoic acid induces differentiation of HL-60 cells into granulocytes.
Vitamin D3 analogues inhibit growth of the promyelocytic leukemia cell line.
The quick examination of joints revealed extra swelling, yet hands were of normal size.
Oxygen saturation was 92% on room air; jugular veins were flat and lungs quite clear.
A biopsy of the kidney showed crescents in 40% of glomeruli [see figure 2].
Estrogen and progesterone receptors were quantified by enzyme immunoassay.
Zinc finger proteins such as Egr-1 and Sp1 compete for overlapping sites.
Low-dose cyclosporin A and FK506 block calcineurin and hence NF-AT activation.
Ras, Raf and MEK act upstream of the mitogen-activated protein kinases ERK1/ERK2.
The premise entails the hypothesis; otherwise it is neutral or a contradiction.
Quinine, vancomycin and azithromycin were given; a X-ray excluded pneumonia.
Epstein-Barr virus nuclear antigen 2 transactivates the LMP1 promoter.
Adenovirus E1A + E1B proteins transform cells = loss of p53 function.
Jaundice, pruritus & dark urine suggested obstruction of the common bile duct.
Hypoxia up-regulates VEGF, EPO and GLUT1 through HIF-1 (see also: XIAP, Wnt, Yap*).
Kinase activity of Zap70 {wild type} was unchanged; ~ 10^6 cells/ml were used @ 37 C.
"""
LINES = TEXT.splitlines()
LETTERS = [chr(code) for code in range(ord("!"), ord("~") + 1)]


def make_replica(kind: str, folder: Path, *, pickled: bool = False, seed: int = 0) -> Path:
    """Write a replica of a published model.

    Args:
        kind: one of `KINDS`.
        folder: where to; made if it is not there.
        pickled: weights as `pytorch_model.bin` alone, as the hub has those of `PICKLED`; otherwise
            as `model.safetensors`.
        seed: of the weights; the same seed gives the same bytes.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights, config = _MAKERS[kind](folder)
    _write_json(folder / "config.json", config)
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        apart = {name: tensor.clone().contiguous() for name, tensor in weights.items()}
        save_file(apart, folder / "model.safetensors", {"format": "pt"})
        (folder / "pytorch_model.bin").write_bytes(b"needless beside the safetensors file")
    _needless(kind, folder)
    return folder


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _needless(kind: str, folder: Path) -> None:
    card = (
        f"---\nlanguage: en\nlicense: {LICENSES[kind]}\n---\n\n# Replica of {REPOSITORIES[kind]}\n"
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (folder / "tf_model.h5").write_bytes(b"\x89HDF needless")
    (folder / "flax_model.msgpack").write_bytes(b"needless")
    (folder / "modeling_replica.py").write_text('raise SystemExit("remote code was run")\n')


def _random(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    # Biases and norms too, so that a weight that gets lost or misplaced shows.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return dict(model.state_dict())


def _learn(words: Iterable[tuple[str, ...]], count: int, inner: str = "") -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first (Sennrich et al. 2016); ties in alphabetical order.

    The trainers of `tokenizers` number sub-words that have a prefix or suffix in no fixed order.

    Args:
        words: each as its symbols.
        count: merges at most.
        inner: prefix of a symbol inside a word that goes when it is merged.
    """
    seen = Counter(words)
    merges = []
    for _ in range(count):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in seen.items():
            for pair in pairwise(word):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        seen = Counter({_merge(word, best, inner): times for word, times in seen.items()})
    return merges


def _merge(word: tuple[str, ...], pair: tuple[str, str], inner: str) -> tuple[str, ...]:
    merged: list[str] = []
    at = 0
    while at < len(word):
        found = word[at : at + 2] == pair
        merged.append(pair[0] + pair[1].removeprefix(inner) if found else word[at])
        at += 2 if found else 1
    return tuple(merged)


# --- BERT and BioBERT ---------------------------------------------------------------------------


def _wordpiece(folder: Path) -> int:
    """`vocab.txt` with special tokens where BERT has them; returns its size."""
    splitter = pre_tokenizers.BertPreTokenizer()
    words = [word for line in LINES for word, _ in splitter.pre_tokenize_str(line)]
    spelled = [(word[0], *(f"##{letter}" for letter in word[1:])) for word in words]
    merges = _learn(spelled, 450, "##")
    names = [
        "[PAD]",
        *(f"[unused{index}]" for index in range(1, 6)),
        *("[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *LETTERS,
        *(f"##{letter}" for letter in LETTERS),
    ]
    names = list(dict.fromkeys([*names, *(a + b.removeprefix("##") for a, b in merges)]))
    (folder / "vocab.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return len(names)


def _bert_config(size: int) -> BertConfig:
    return BertConfig(vocab_size=size, hidden_size=WIDTH, max_position_embeddings=512, **SHORT)


def _bert_json(size: int, architecture: str) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "attention_probs_dropout_prob": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": size,
        **SHORT,
    }


def _bert(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = _wordpiece(folder)
    _write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 512})
    vocabulary = str(folder / "vocab.txt")
    tokenizer = Tokenizer(models.WordPiece.from_file(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    weights = _random(BertForMaskedLM(_bert_config(size)))
    weights |= {
        "bert.pooler.dense.weight": torch.randn(WIDTH, WIDTH),
        "bert.pooler.dense.bias": torch.randn(WIDTH),
        "cls.seq_relationship.weight": torch.randn(2, WIDTH),
        "cls.seq_relationship.bias": torch.randn(2),
    }
    # The names that TensorFlow gave to the parameters of a norm, and the head's bias once.
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in weights.items()
        if name != "cls.predictions.decoder.bias"
    }
    return renamed, _bert_json(size, "BertForMaskedLM")


def _biobert(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = _wordpiece(folder)  # and no tokenizer.json
    _write_json(folder / "tokenizer_config.json", {"do_lower_case": False})
    _write_json(
        folder / "special_tokens_map.json",
        {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")},
    )
    weights = _random(BertModel(_bert_config(size)))
    # A buffer that older versions saved.
    weights["embeddings.position_ids"] = torch.arange(512).expand((1, -1)).clone()
    return weights, _bert_json(size, "BertModel")


# --- GPT-2 --------------------------------------------------------------------------------------

END = "<|endoftext|>"


def _byte_level(folder: Path) -> int:
    """`vocab.json`, `merges.txt` and `tokenizer.json`; returns the vocabulary's size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = BpeTrainer(
        vocab_size=600,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "tokenizer.json"))
    numbers = dict(sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]))
    _write_json(folder / "vocab.json", numbers)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(numbers)


def _gpt2(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = _byte_level(folder)
    _write_json(folder / "tokenizer_config.json", {"model_max_length": 1024})
    layers = 3
    shape: dict[str, Any] = {
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_layer": layers,
        "n_positions": 1024,
    }
    tokens: dict[str, Any] = {"bos_token_id": size - 1, "eos_token_id": size - 1}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=size, **shape, **tokens))
    # Names without the prefix of the class, the tied head left out, the causal mask kept.
    weights = {
        name.removeprefix("transformer."): tensor
        for name, tensor in _random(model).items()
        if name != "lm_head.weight"
    }
    for layer in range(layers):
        weights[f"h.{layer}.attn.bias"] = torch.tril(
            torch.ones(1, 1, 1024, 1024, dtype=torch.uint8)
        )
    return weights, {
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": None,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": True,
        "summary_type": "cls_index",
        "summary_use_proj": True,
        "vocab_size": size,
        **shape,
        **tokens,
    }


# --- BioGPT -------------------------------------------------------------------------------------


def _moses(lines: Sequence[str]) -> list[str]:
    moses = sacremoses.MosesTokenizer(lang="en")
    return [moses.tokenize(line, aggressive_dash_splits=True, return_str=True) for line in lines]


def _fast_bpe(folder: Path) -> int:
    """`vocab.json` and `merges.txt` over Moses tokens, word ends marked; returns the size."""
    words = [word for line in _moses(LINES) for word in line.split()]
    merges = _learn([(*word[:-1], f"{word[-1]}</w>") for word in words], 450)
    letters = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    names = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(a + b for a, b in merges)]
    numbers = {name: index for index, name in enumerate(dict.fromkeys(names))}
    _write_json(folder / "vocab.json", numbers)
    # fastBPE writes how often it saw a pair behind it.
    counted = [f"{a} {b} {len(merges) - rank}" for rank, (a, b) in enumerate(merges)]
    (folder / "merges.txt").write_text("\n".join(counted) + "\n", encoding="utf-8")
    return len(numbers)


def _biogpt(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    size = _fast_bpe(folder)
    specials = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
    }
    _write_json(folder / "special_tokens_map.json", specials)
    _write_json(
        folder / "tokenizer_config.json",
        {**specials, "model_max_length": 1024, "tokenizer_class": "BioGptTokenizer"},
    )
    config: dict[str, Any] = {
        "activation_dropout": 0.0,
        "architectures": ["BioGptForCausalLM"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "layerdrop": 0.0,
        "max_position_embeddings": 1024,
        "model_type": "biogpt",
        "pad_token_id": 1,
        "scale_embedding": True,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": size,
        **SHORT,
    }
    kept = {key: value for key, value in config.items() if key not in ("model_type", "torch_dtype")}
    return _random(BioGptForCausalLM(BioGptConfig(**kept))), config


_MAKERS: dict[str, Callable[[Path], tuple[dict[str, torch.Tensor], dict[str, Any]]]] = {
    "bert": _bert,
    "biobert": _biobert,
    "gpt2": _gpt2,
    "biogpt": _biogpt,
}
