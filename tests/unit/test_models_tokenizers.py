"""Tokenizers: what a folder's files say is what texts are turned into."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from refusals import one_line
from tiny_models import TEXTS, Tiny, copied
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from layerscope.core.errors import UserError
from layerscope.models import sentencepieces, tokenizers
from layerscope.models.inputs import read_special_tokens, tokenise_words
from layerscope.models.load import load_language_model, load_model
from layerscope.models.sentencepieces import hold_to_model
from layerscope.models.tokenizers import PROBES, load_tokenizer, require_embeddings

MORE = ("Crème brûlée, ÉCLAIR", "T-cell's", "  three", "x\u00a0y", "[SEP] </s>", "naïve\u2009café")
BERT = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
ROBERTA = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}


def bert(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    """A WordPiece tokenizer that has learnt the texts as it reads them."""
    made = Tokenizer(models.WordPiece(unk_token=BERT["unk_token"]))
    made.normalizer, made.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=list(BERT.values()), show_progress=False, min_frequency=1
    )
    made.train_from_iterator([*TEXTS, *PROBES, *MORE], trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return made


def roberta(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    """A BPE tokenizer of bytes."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))  # noqa: S106
    made.normalizer, made.pre_tokenizer = normalizer, pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(ROBERTA.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([*TEXTS, *PROBES], trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return made


def saved(folder: Path, kind: str, tokenizer: Tokenizer, **settings: Any) -> Path:
    """A folder with a tokenizer and the configuration of a model."""
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    return folder


def given(tokenizer: PreTrainedTokenizerBase) -> list[Any]:
    """Ids of texts, of texts in their frame and of pairs."""
    texts = [*PROBES, *MORE, *(f" {text}" for text in PROBES)]
    plain = {"add_special_tokens": False, "split_special_tokens": True}
    return [
        *tokenizer(texts, **plain)["input_ids"],
        *tokenizer(list(PROBES))["input_ids"],
        *tokenizer(list(PROBES), list(reversed(PROBES)))["input_ids"],
    ]


def in_file(path: Path) -> list[Any]:
    """The same by the file alone."""
    made = Tokenizer.from_file(str(path))
    framed = [
        *(made.encode(text).ids for text in PROBES),
        *(made.encode(*pair).ids for pair in zip(PROBES, reversed(PROBES), strict=True)),
    ]
    made.encode_special_tokens = True
    texts = [*PROBES, *MORE, *(f" {text}" for text in PROBES)]
    return [*(made.encode(text, add_special_tokens=False).ids for text in texts), *framed]


def of_bert(**settings: Any) -> Any:
    return normalizers.BertNormalizer(**settings)


GENERAL = {"tokenizer_class": "PreTrainedTokenizerFast"}
ByteLevel = pre_tokenizers.ByteLevel
#: Kind of model, and what the file of its tokenizer has in place of what the class takes.
FILES = {
    "accents of lower-cased texts": ("bert", of_bert(strip_accents=False)),
    "accents stripped, cased": ("bert", of_bert(lowercase=False, strip_accents=True)),
    "cased": ("bert", of_bert(lowercase=False)),
    "whole Chinese words": ("bert", of_bert(handle_chinese_chars=False)),
    "composed letters": ("bert", normalizers.NFC()),
    "no normaliser": ("bert", None),
    "white space alone": ("bert", of_bert(), pre_tokenizers.WhitespaceSplit()),
    "hyphens": ("distilbert", of_bert(), pre_tokenizers.Whitespace()),
    "prefix space": ("roberta", None, ByteLevel(add_prefix_space=True)),
    "lower-cased bytes": ("roberta", normalizers.Lowercase(), ByteLevel(add_prefix_space=False)),
    "across words": ("gpt2", None, ByteLevel(add_prefix_space=False, use_regex=False)),
}


@pytest.mark.parametrize("name", FILES)
def test_texts_are_read_as_the_file_says_and_so_they_are_once_it_is_saved(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind, normalizer, *splitter = FILES[name]
    if kind in ("bert", "distilbert"):
        made = bert(normalizer, splitter[0] if splitter else pre_tokenizers.BertPreTokenizer())
    else:
        made = roberta(normalizer, splitter[0])
    tokens = {} if kind != "gpt2" else {f"{k}_token": v for k, v in ROBERTA.items()}
    folder = saved(tmp_path / "model", kind, made, **tokens)
    rebuilt = AutoTokenizer.from_pretrained(folder)
    expected = in_file(folder / "tokenizer.json")
    assert given(rebuilt) != expected
    with caplog.at_level(logging.INFO):
        tokenizer = load_tokenizer(folder)
    assert "; the file is used" in caplog.text
    assert given(tokenizer) == expected
    assert tokenizer.special_tokens_map == rebuilt.special_tokens_map
    assert tokenizer.model_input_names == rebuilt.model_input_names
    again = tmp_path / "again"
    tokenizer.save_pretrained(again)
    (again / "config.json").write_text((folder / "config.json").read_text())
    reread = load_tokenizer(again)
    assert given(reread) == expected
    assert reread.special_tokens_map == tokenizer.special_tokens_map
    assert reread.model_input_names == tokenizer.model_input_names
    assert read_special_tokens(reread, "encoder") == read_special_tokens(tokenizer, "encoder")


def test_what_the_files_agree_on_is_left_to_the_class(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = bert(of_bert(), pre_tokenizers.BertPreTokenizer())
    made.enable_truncation(4)  # as files of sentence-transformers have it
    made.enable_padding(length=8)
    folder = saved(tmp_path / "model", "bert", made)
    with caplog.at_level(logging.INFO):
        assert type(load_tokenizer(folder)).__name__ == "BertTokenizer"
    assert not caplog.records


def test_settings_that_are_stated_prevail_over_tokenizer_json(tmp_path: Path) -> None:
    made = bert(of_bert(lowercase=False), pre_tokenizers.WhitespaceSplit())
    folder = saved(tmp_path / "bert", "bert", made, do_lower_case=True, strip_accents=False)
    tokenizer = load_tokenizer(folder)
    normalizer = tokenizer.backend_tokenizer.normalizer
    assert (normalizer.lowercase, normalizer.strip_accents) == (True, False)
    assert isinstance(
        tokenizer.backend_tokenizer.pre_tokenizer, pre_tokenizers.WhitespaceSplit
    )  # which nothing else is stated of
    tokenizer.save_pretrained(folder)
    assert given(load_tokenizer(folder)) == given(tokenizer)
    made = roberta(normalizers.Lowercase(), ByteLevel(add_prefix_space=True))
    folder = saved(tmp_path / "roberta", "roberta", made, add_prefix_space=False)
    assert load_tokenizer(folder).backend_tokenizer.pre_tokenizer.add_prefix_space is False


def test_a_file_without_a_frame_leaves_it_to_the_class(tmp_path: Path) -> None:
    made = bert(of_bert(lowercase=False), pre_tokenizers.WhitespaceSplit())
    content = json.loads(made.to_str()) | {"post_processor": None}
    folder = saved(tmp_path / "model", "bert", Tokenizer.from_str(json.dumps(content)))
    framed = load_tokenizer(folder)("fever").tokens()
    assert (framed[0], framed[-1]) == ("[CLS]", "[SEP]")


def test_accents_of_words_are_those_of_the_vocabulary(tmp_path: Path) -> None:
    """Words of NER are read one by one, by the same tokenizer."""
    made = bert(of_bert(lowercase=False), pre_tokenizers.BertPreTokenizer())
    tokenizer = load_tokenizer(saved(tmp_path / "model", "bert", made))
    frame = read_special_tokens(tokenizer, "encoder")
    words = tokenise_words(tokenizer, frame, ["Café", "naïve", "IL-2"])
    assert tokenizer.unk_token_id not in {number for ids in words.values() for number in ids}
    assert tokenizer.decode(words["Café"]) == "Café"


@pytest.mark.parametrize("kind", ["albert", "biogpt"])
def test_a_file_that_the_class_cannot_read_is_read_alone(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = bert(of_bert(), pre_tokenizers.BertPreTokenizer())
    folder = saved(tmp_path / "model", kind, made, **BERT)
    with caplog.at_level(logging.INFO):
        tokenizer = load_tokenizer(folder)
    assert "read from tokenizer.json alone" in caplog.text
    assert given(tokenizer) == in_file(folder / "tokenizer.json")
    assert tokenizer.special_tokens_map == BERT


@pytest.mark.parametrize(
    ("settings", "texts", "expected"),
    [
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, 2, True),
        (
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids"]},
            2,
            False,
        ),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, 1, False),
        ({}, 2, True),
        ({}, 1, False),
    ],
)
def test_the_texts_of_a_pair_are_told_apart_if_the_model_has_embeddings_for_them(
    settings: dict[str, Any], texts: int, expected: bool, tmp_path: Path
) -> None:
    made = bert(of_bert(), pre_tokenizers.BertPreTokenizer())
    folder = saved(tmp_path, "bert", made, **settings, **BERT)
    (folder / "config.json").write_text(
        json.dumps({"model_type": "bert", "type_vocab_size": texts})
    )
    assert read_special_tokens(load_tokenizer(folder), "encoder").segments is expected


# --- packages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("spm.model", b"\n\x0b\n\x05<unk>\x15", "deberta-v2", "sentencepiece and protobuf"),
        ("sentencepiece.bpe.model", b"\n\x0b\n\x05<unk>", "xlm-roberta", "sentencepiece and proto"),
        ("tokenizer.model", b"IQ== 0\nIg== 1\n", "llama", " tiktoken;"),
    ],
)
def test_a_package_that_is_missing_is_named(
    name: str, content: bytes, kind: str, said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(tokenizers, "find_spec", lambda _: None)
    (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UserError, match=f"{name}: needs the Python package.*{said}") as caught:
        load_tokenizer(tmp_path)
    one_line(caught, tmp_path)


# --- embeddings ---------------------------------------------------------------------------------


def with_tokens(tiny: Tiny, folder: Path, special: bool, **named: str) -> PreTrainedTokenizerBase:
    """A tokenizer with two tokens more than its model has embeddings."""
    tokenizer = load_tokenizer(copied(tiny, folder))
    if named:
        tokenizer.add_special_tokens(named)
    else:
        tokenizer.add_tokens(["<image>", "<tool>"], special_tokens=special)
    return tokenizer


def test_special_tokens_that_no_text_gives_need_no_embedding(
    decoder: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = with_tokens(decoder, tmp_path, special=True)
    rows = len(tokenizer) - 2
    with caplog.at_level(logging.INFO):
        require_embeddings(decoder.model, tokenizer, "here")
    assert caplog.messages == [
        "here: 2 tokens that no text gives have no embedding: <image>, <tool>"
    ]
    frame = read_special_tokens(tokenizer, "decoder")
    words = tokenise_words(tokenizer, frame, ["<image>", "a<tool>b", "<image><tool>"])
    assert max(number for ids in words.values() for number in ids) < rows


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({}, "'<image>' with id"),
        ({"pad_token": "[PAD]"}, r"'\[PAD\]' \(pad_token\) with id"),
        ({"sep_token": "[SEP]"}, r"'\[SEP\]' \(sep_token\) with id"),
    ],
)
def test_tokens_that_texts_or_frames_give_need_one(
    named: dict[str, str], said: str, decoder: Tiny, tmp_path: Path
) -> None:
    tokenizer = with_tokens(decoder, tmp_path, special=False, **named)
    with pytest.raises(UserError, match=said) as caught:
        load_model(decoder.folder, tokenizer)
    one_line(caught, decoder.folder)


def test_a_mask_is_needed_by_masked_pre_training_alone(encoder: Tiny, tmp_path: Path) -> None:
    tokenizer = with_tokens(encoder, tmp_path, special=True, mask_token="<hidden>")  # noqa: S106
    load_model(encoder.folder, tokenizer)
    with pytest.raises(UserError, match=r"'<hidden>' with id \d+.*allowed for masked pre-training"):
        load_language_model(encoder.folder, tokenizer, "encoder")
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="no mask token"):
        load_language_model(encoder.folder, tokenizer, "encoder")


def test_padding_past_the_embeddings_of_a_configuration_is_refused(
    encoder: Tiny, tmp_path: Path
) -> None:
    folder = copied(encoder, tmp_path)
    rows = encoder.model.config.vocab_size
    config = json.loads((folder / "config.json").read_text()) | {"pad_token_id": rows}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"pad_token_id is {rows}, and vocab_size {rows}") as caught:
        load_model(folder, encoder.tokenizer)
    one_line(caught, folder)


# --- SentencePiece ------------------------------------------------------------------------------


class Answers:
    """What SentencePiece would give, by a tokenizer and what it makes of a text before."""

    def __init__(self, tokenizer: Tokenizer, letters: bytes) -> None:
        self.tokenizer, self.normalizer_spec = tokenizer, self
        self.precompiled_charsmap = letters

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def id_to_piece(self, number: int) -> str:
        return str(self.tokenizer.id_to_token(number))

    def serialized_model_proto(self) -> bytes:
        return b""

    def ParseFromString(self, _: bytes) -> None:  # noqa: N802 (protobuf's name)
        pass


@pytest.mark.parametrize("form", ["NFC", "NFKC", "Lowercase"])
def test_a_model_of_sentencepiece_is_followed_or_refused(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its normaliser is restored; what differs otherwise, as with any other one, is refused."""
    made = roberta(normalizers.NFC(), ByteLevel(add_prefix_space=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")  # noqa: S106
    tokenizer.vocab_file = str(tmp_path / "spm.model")
    (tmp_path / "spm.model").write_bytes(b"\n\x0b\n\x05<unk>")
    made.normalizer = getattr(normalizers, form)()
    answers = Answers(made, b"letters")
    package = SimpleNamespace(
        SentencePieceProcessor=lambda model_file: answers, ModelProto=lambda: answers
    )
    for module in ("sentencepiece", "sentencepiece.sentencepiece_model_pb2"):
        monkeypatch.setitem(sys.modules, module, package)
    monkeypatch.setattr(sentencepieces.normalizers, "Precompiled", lambda _: normalizers.NFKC())
    before = tokenizer.tokenize("½ µg")
    if form == "Lowercase":
        with pytest.raises(UserError, match=r"spm\.model: SentencePiece gives .* for 'Café"):
            hold_to_model(tokenizer, PROBES)
        return
    hold_to_model(tokenizer, PROBES)
    assert (tokenizer.tokenize("½ µg") != before) is (form == "NFKC")
    assert tokenizer.tokenize("½ µg") == made.encode("½ µg", add_special_tokens=False).tokens
