"""Tokenizers made from a model of SentencePiece, held to what SentencePiece itself gives.

transformers (5.23) converts such a file to a tokenizer of its own. DeBERTa's loses the file's
normaliser ("µ" is the Greek letter in the vocabulary, "½" is "1⁄2"), others the space before the
first word.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import normalizers
from transformers import PreTrainedTokenizerBase

from layerscope.core.errors import UserError

_TIKTOKEN = re.compile(rb"[A-Za-z0-9+/]+={0,2} \d+\s*")


def is_of_tiktoken(path: Path) -> bool:
    """Whether a `.model` file is a list of tiktoken (token and rank per line)."""
    with open(path, "rb") as file:
        return _TIKTOKEN.fullmatch(file.readline(1000)) is not None


def hold_to_model(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
    """Compare a tokenizer with the file of SentencePiece that it was made from, if it was.

    Where the two differ, the tokenizer is given the file's normaliser.

    Raises:
        UserError: they differ nevertheless; a text and both answers are named.
    """
    path = Path(str(getattr(tokenizer, "vocab_file", None)))
    if path.suffix != ".model" or not tokenizer.is_fast or is_of_tiktoken(path):
        return
    model = importlib.import_module("sentencepiece").SentencePieceProcessor(model_file=str(path))
    if _difference(tokenizer, model, texts) is None:
        return
    _restore_normaliser(tokenizer, model)
    found = _difference(tokenizer, model, texts)
    if found is not None:
        text, ours, theirs = found
        raise UserError(
            f"{path}: SentencePiece gives {theirs} for {text!r}, and transformers' "
            f"{type(tokenizer).__name__} {ours}; allowed: a tokenizer.json"
        )


def _difference(
    tokenizer: PreTrainedTokenizerBase, model: Any, texts: Sequence[str]
) -> tuple[str, list[str], list[str]] | None:
    numbers, unknown = tokenizer.get_vocab(), tokenizer.unk_token
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ours = list(tokenizer.convert_ids_to_tokens(ids))
        pieces = map(model.id_to_piece, model.encode(text))
        theirs = [piece if piece in numbers else str(unknown) for piece in pieces]
        if ours != theirs:
            return text, ours, theirs
    return None


def _restore_normaliser(tokenizer: PreTrainedTokenizerBase, model: Any) -> None:
    """Put what a file of SentencePiece does to letters before what a class does."""
    content = importlib.import_module("sentencepiece.sentencepiece_model_pb2").ModelProto()
    content.ParseFromString(model.serialized_model_proto())
    letters, inner = content.normalizer_spec.precompiled_charsmap, tokenizer.backend_tokenizer
    if letters:
        own = [inner.normalizer] if inner.normalizer is not None else []
        inner.normalizer = normalizers.Sequence([normalizers.Precompiled(letters), *own])
