"""From texts and words to sub-word ids, with a word map of our own.

Pre-split words are tokenised one by one, so the map from words to sub-words needs no offsets and
holds for tokenizers that give none. How a model wants its input framed (special tokens before,
between and after) is read off its tokenizer once.

A word's sub-words are those of the word alone: for BERT and GPT-2 the same as in a running text of
the words with spaces between them. BioGPT's are those of the word as Moses splits and escapes it
("IL-2" into "IL @-@ 2", "<" into "&lt;"), which is what BioGPT was pre-trained on (Luo et al. 2022:
`tokenizer.perl -l en -a`, then fastBPE). There the word alone differs from the running text at an
apostrophe that begins a word, and at a full stop that ends one before a small letter: "patient"
and "'s" give what Moses makes of "patient's", while "patient 's" would give two tokens for "'s".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from layerscope.core.errors import UserError
from layerscope.core.kinds import text_columns


@dataclass(frozen=True)
class SpecialTokens:
    """What a tokenizer puts around a text, and what stands between the two texts of a pair."""

    before: list[int]
    between: list[int]
    after: list[int]
    pad: int
    segments: bool  # whether the model is told first and second text apart (token_type_ids)
    spaced: bool  # whether a word inside a text is tokenised with a space before it
    multiple: int = 1  # of which the length of a batch is one, where the model asks for it


@dataclass(frozen=True, slots=True)
class Encoded:
    """One input sequence.

    `second` is where the second text begins (the length if there is none); `special` holds the
    positions of special tokens; `words` the sub-word span (start, end) of each word.
    """

    ids: list[int]
    second: int
    special: tuple[int, ...] = ()
    words: tuple[tuple[int, int], ...] = ()


def _sub_words(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    # A text that spells a special token ("[SEP]", "</s>") is text all the same.
    options = {"add_special_tokens": False, "split_special_tokens": True}
    return list(tokenizer(list(texts), **options)["input_ids"])


def _find(ids: Sequence[int], part: Sequence[int], start: int) -> int:
    for at in range(start, len(ids) - len(part) + 1):
        if list(ids[at : at + len(part)]) == list(part):
            return at
    raise UserError("the tokenizer changes a text inside its frame, so no word map can be made")


def read_special_tokens(tokenizer: PreTrainedTokenizerBase, architecture: str) -> SpecialTokens:
    """Read off how a tokenizer frames a text and a pair of texts.

    Encoders keep the pair layout of their tokenizer. A decoder's tokenizer has none: the separator
    (or end-of-text) token is put between the two texts, and nothing after the second one, so its
    last sub-word is the last real token.

    Raises:
        UserError: the tokenizer has no token that could separate the texts of a pair.
    """
    word, inside = _sub_words(tokenizer, ["a", " a"])
    single = list(tokenizer("a")["input_ids"])
    at = _find(single, word, 0)
    before, after = single[:at], single[at + len(word) :]
    if architecture == "encoder":
        pair = list(tokenizer("a", "a")["input_ids"])
        first = _find(pair, word, 0)
        second = _find(pair, word, first + len(word))
        between = pair[first + len(word) : second]
    else:
        separator = tokenizer.sep_token_id
        separator = tokenizer.eos_token_id if separator is None else separator
        if separator is None:
            raise UserError("the tokenizer has neither a separator nor an end-of-text token")
        between = [separator]
    return SpecialTokens(
        before=before,
        between=between,
        after=after,
        pad=int(tokenizer.pad_token_id),
        segments=architecture == "encoder" and "token_type_ids" in tokenizer.model_input_names,
        spaced=inside != word,
    )


def encode_text(
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    texts: Sequence[str],
    limit: int,
) -> tuple[list[Encoded], int]:
    """Encode single texts.

    Returns:
        The sequences, and how many had to be cut to `limit` sub-words.
    """
    room = limit - len(special_tokens.before) - len(special_tokens.after)
    encoded, cut = [], 0
    for ids in _sub_words(tokenizer, texts):
        cut += len(ids) > room
        body = list(ids[:room])
        whole = [*special_tokens.before, *body, *special_tokens.after]
        encoded.append(Encoded(whole, len(whole), _specials(special_tokens, len(body), len(whole))))
    return encoded, cut


def _specials(special_tokens: SpecialTokens, body: int, length: int) -> tuple[int, ...]:
    start = len(special_tokens.before)
    return (*range(start), *range(start + body, length))


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    first: Sequence[str],
    second: Sequence[str],
    limit: int,
) -> tuple[list[Encoded], int]:
    """Encode pairs of texts; one that is too long loses sub-words at the end of its longer text.

    Returns:
        The sequences, and how many had to be cut to `limit` sub-words.
    """
    room = (
        limit - len(special_tokens.before) - len(special_tokens.between) - len(special_tokens.after)
    )
    left = _sub_words(tokenizer, first)
    right = _sub_words(tokenizer, second)
    encoded, cut = [], 0
    for one, two in zip(left, right, strict=True):
        surplus = len(one) + len(two) - room
        cut += surplus > 0
        a, b = len(one), len(two)
        for _ in range(surplus):
            a, b = (a - 1, b) if a >= b else (a, b - 1)
        ids = [
            *special_tokens.before,
            *one[:a],
            *special_tokens.between,
            *two[:b],
            *special_tokens.after,
        ]
        middle = len(special_tokens.before) + a
        start = middle + len(special_tokens.between)
        special = (
            *range(len(special_tokens.before)),
            *range(middle, start),
            *range(start + b, len(ids)),
        )
        encoded.append(Encoded(ids, start, special))
    return encoded, cut


def encode_examples(
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    rows: Mapping[str, Sequence[Any]],
    kind: str,
    limit: int,
) -> tuple[list[Encoded], int]:
    """Encode the texts or pairs of a prepared table whose examples have one label.

    Args:
        tokenizer, special_tokens: of the model.
        rows: the table's columns.
        kind: of the task.
        limit: sub-words of a sequence, special tokens included.

    Returns:
        The sequences, and how many had to be cut.
    """
    texts = [rows[name] for name in text_columns(kind)]
    if len(texts) == 1:
        return encode_text(tokenizer, special_tokens, texts[0], limit)
    return encode_pairs(tokenizer, special_tokens, texts[0], texts[1], limit)


def tokenise_words(
    tokenizer: PreTrainedTokenizerBase, special_tokens: SpecialTokens, words: Iterable[str]
) -> dict[str, list[int]]:
    """Sub-words of each distinct word; a word that vanishes becomes the unknown (or pad) token."""
    distinct = sorted(set(words))
    if not distinct:
        return {}
    texts = [f" {word}" if special_tokens.spaced else word for word in distinct]
    unknown = tokenizer.unk_token_id
    fallback = [special_tokens.pad if unknown is None else unknown]
    ids = _sub_words(tokenizer, texts)
    return {word: list(found) or fallback for word, found in zip(distinct, ids, strict=True)}


def windows(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Cut a sentence into consecutive windows of whole words, each of at most `room` sub-words.

    Args:
        lengths: sub-words of each word.
        room: sub-words in a window; a longer word gets a window of its own.

    Returns:
        (start, end) word indices that join up without gap or overlap.
    """
    spans, start, used = [], 0, 0
    for index, length in enumerate(lengths):
        if index > start and used + length > room:
            spans.append((start, index))
            start, used = index, 0
        used += length
    if lengths:
        spans.append((start, len(lengths)))
    return spans


def cut_words(
    pieces: Mapping[str, Sequence[int]],
    special_tokens: SpecialTokens,
    words: Iterable[str],
    limit: int,
) -> int:
    """How many words are longer than a window of `limit` sub-words, so that they are cut."""
    room = limit - len(special_tokens.before) - len(special_tokens.after)
    return sum(len(pieces[word]) > room for word in words)


def encode_words(
    pieces: dict[str, list[int]], special_tokens: SpecialTokens, words: Sequence[str], limit: int
) -> list[Encoded]:
    """Encode one sentence of pre-split words in windows.

    Args:
        pieces: sub-words of each word, from `tokenise_words`.
        special_tokens: of the tokenizer.
        words: the sentence.
        limit: sub-words of a window, special tokens included; of a longer word the first are kept.

    Returns:
        The windows in order; their `words` together are the words of the sentence.
    """
    room = limit - len(special_tokens.before) - len(special_tokens.after)
    parts = [pieces[word][:room] for word in words]
    encoded = []
    for start, end in windows([len(part) for part in parts], room):
        ids, spans = list(special_tokens.before), []
        for part in parts[start:end]:
            spans.append((len(ids), len(ids) + len(part)))
            ids.extend(part)
        body = len(ids) - len(special_tokens.before)
        ids.extend(special_tokens.after)
        encoded.append(
            Encoded(ids, len(ids), _specials(special_tokens, body, len(ids)), tuple(spans))
        )
    return encoded


def encode_sentences(
    tokenizer: PreTrainedTokenizerBase,
    special_tokens: SpecialTokens,
    sentences: Sequence[Sequence[str]],
    limit: int,
) -> tuple[list[list[Encoded]], int]:
    """Encode sentences of pre-split words in windows of at most `limit` sub-words.

    Returns:
        The windows of each sentence, and how many words are longer than a window and are cut.
    """
    all_words = [word for words in sentences for word in words]
    pieces = tokenise_words(tokenizer, special_tokens, all_words)
    encoded = [encode_words(pieces, special_tokens, words, limit) for words in sentences]
    return encoded, cut_words(pieces, special_tokens, all_words, limit)


def labelled_position(span: tuple[int, int], architecture: str) -> int:
    """Position of the sub-word that stands for a word in token classification.

    The first for an encoder (Devlin et al. 2019); the last for a decoder, which has only then read
    the whole word.
    """
    return span[0] if architecture == "encoder" else span[1] - 1
