"""How long examples are in words and in sub-words, and which are longer than a model reads."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from layerscope.core.encodings import SEPARATE, encoding
from layerscope.core.kinds import labels_examples, text_columns
from layerscope.models.inputs import (
    SpecialTokens,
    encode_text,
    read_special_tokens,
    tokenise_words,
    windows,
)
from layerscope.models.load import position_limit
from layerscope.models.skeleton import skeleton
from layerscope.models.tokenizers import load_tokenizer

Row = dict[str, Any]

#: Rows that are tokenised at once.
BLOCK = 1000
_UNLIMITED = 2**30


class Spread(NamedTuple):
    """Lengths of a split in numbers."""

    median: float
    most: int  # the 95th percentile: the least length that 95 % of the examples do not exceed
    longest: int


@dataclass(frozen=True)
class Use:
    """What a model reads the data for."""

    limit: int  # sub-words of a sequence
    whole: bool = True  # whether an example is one sequence
    apart: bool = False  # whether each text of it is one, or one as well


@dataclass(frozen=True)
class Reader:
    """How a model of the study reads the examples of a task."""

    tokenizer: PreTrainedTokenizerBase
    special_tokens: SpecialTokens
    uses: Mapping[str, Use]  # by name


@dataclass
class SubWords:
    """Lengths of the examples of a split as a model reads them."""

    lengths: list[int]  # of each example in one sequence, special tokens included
    own: int  # of all examples together, special tokens left out
    long: Counter[str]  # examples that are longer than what is read, by use
    cut_words: Counter[str]  # words that are longer than a window (ner), by use


def spread(lengths: Sequence[int]) -> Spread:
    """Median, 95th percentile (nearest rank) and maximum of one or more lengths.

    >>> spread([4, 1, 2, 3])
    Spread(median=2.5, most=4, longest=4)
    """
    ordered = sorted(lengths)
    most = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return Spread(statistics.median(ordered), most, ordered[-1])


def rows_of(table: pa.Table) -> Iterator[Row]:
    """Rows of a prepared table, few of which are in memory as Python's objects."""
    for batch in table.to_batches(max_chunksize=BLOCK):
        yield from batch.to_pylist()


def count_words(kind: str, row: Row) -> int:
    """Words of an example: its tokens, or white-space words of its texts."""
    if not labels_examples(kind):
        return len(row["tokens"])
    return sum(len(row[name].split()) for name in text_columns(kind))


def readers(settings: Mapping[str, Any], folders: Mapping[str, str]) -> dict[str, Reader]:
    """How the models of a study read a task, those together that read it alike.

    Args:
        settings: as from `layerscope.config.description.description_settings`.
        folders: of the models whose tokenizers the study has, by name; no weights are looked at.

    Returns:
        Readers by the names of their models, joined by commas.

    Raises:
        UserError: a folder holds no model or tokenizer that can be read.
    """
    alike: dict[tuple[str, str, int], list[str]] = {}
    for name, model in sorted(settings["models"].items()):
        key = (model["tokenizer"], model["architecture"], model["fine_tuning"])
        alike.setdefault(key, []).append(name)
    encodings = {encoding(view) for view in settings["views"]}
    found = {}
    for (owner, architecture, limit), names in alike.items():
        tokenizer, model = load_tokenizer(folders[owner]), skeleton(folders[owner])
        uses = {
            "fine-tuning": Use(position_limit(model, limit)),
            "activations": Use(
                position_limit(model, settings["activations"]),
                whole=encodings != {SEPARATE},
                apart=SEPARATE in encodings,
            ),
        }
        special_tokens = read_special_tokens(tokenizer, architecture)
        found[", ".join(names)] = Reader(tokenizer, special_tokens, uses)
    return found


def measure(kind: str, table: pa.Table, reader: Reader) -> SubWords:
    """Sub-words of the examples of a prepared table, block by block.

    Args:
        kind: of the table.
        table: with the columns of its kind.
        reader: how the model reads it.
    """
    found = SubWords([], 0, Counter(), Counter())
    known: dict[str, int] = {}  # sub-words of the words so far
    for batch in table.to_batches(max_chunksize=BLOCK):
        columns = batch.to_pydict()
        if labels_examples(kind):
            _add_texts(found, [columns[name] for name in text_columns(kind)], reader)
        else:
            _add_sentences(found, columns["tokens"], reader, known)
    return found


def _add_sentences(
    found: SubWords, sentences: Sequence[Sequence[str]], reader: Reader, known: dict[str, int]
) -> None:
    tokenizer, special = reader.tokenizer, reader.special_tokens
    new = {word for words in sentences for word in words} - known.keys()
    known |= {word: len(ids) for word, ids in tokenise_words(tokenizer, special, new).items()}
    frame = len(special.before) + len(special.after)
    for words in sentences:
        lengths = [known[word] for word in words]
        found.own += sum(lengths)
        found.lengths.append(sum(lengths) + frame)
        for name, use in reader.uses.items():
            room = use.limit - frame
            found.long[name] += len(windows([min(each, room) for each in lengths], room)) > 1
            found.cut_words[name] += sum(each > room for each in lengths)


def _add_texts(found: SubWords, columns: Sequence[Sequence[str]], reader: Reader) -> None:
    special = reader.special_tokens
    alone = len(special.before) + len(special.after)
    frame = alone + (len(columns) - 1) * len(special.between)
    distinct = sorted({text for column in columns for text in column})
    encoded, _ = encode_text(reader.tokenizer, special, distinct, _UNLIMITED)
    own = {text: len(each.ids) - alone for text, each in zip(distinct, encoded, strict=True)}
    for texts in zip(*columns, strict=True):
        lengths = [own[text] for text in texts]
        found.own += sum(lengths)
        found.lengths.append(sum(lengths) + frame)
        for name, use in reader.uses.items():
            long = use.whole and sum(lengths) + frame > use.limit
            long |= use.apart and max(lengths) + alone > use.limit
            found.long[name] += long
