"""Small edits of texts: two adjacent inner letters of one word swapped, as in a typing error."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pyarrow as pa

from layerscope.core.kinds import labels_examples, text_columns
from layerscope.data.rng import seeded

#: A text, or the words of a sentence.
Text = str | tuple[str, ...]

_SPACES = re.compile(r"(\s+)")


def texts_of(table: pa.Table, kind: str) -> list[Text]:
    """The distinct texts of prepared rows, in their order: of pairs, each of the two by itself."""
    if not labels_examples(kind):
        return list(dict.fromkeys(tuple(words) for words in table["tokens"].to_pylist() if words))
    columns = [table[name].to_pylist() for name in text_columns(kind)]
    return list(dict.fromkeys(text for column in columns for text in column if text.strip()))


def drawn(texts: Sequence[Text], most: int) -> list[Text]:
    """At most so many of the texts, always the same of the same texts."""
    return seeded("texts of representation quality", 0).sample(list(texts), min(most, len(texts)))


def _places(word: str) -> list[int]:
    """Where two adjacent inner letters differ, neither the first nor the last of the word."""
    return [
        at
        for at in range(1, len(word) - 2)
        if word[at] != word[at + 1] and word[at : at + 2].isalpha()
    ]


def _swapped(words: Sequence[str], rng: random.Random) -> list[str] | None:
    places = {number: found for number, word in enumerate(words) if (found := _places(word))}
    if not places:
        return None
    number = rng.choice(list(places))
    at = rng.choice(places[number])
    word = words[number]
    return [
        *words[:number],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        *words[number + 1 :],
    ]


def edited(text: Text) -> Text | None:
    """The text with two letters of one of its words swapped; the same text gives the same edit.

    None if no word has two adjacent inner letters that differ.
    """
    joined = text if isinstance(text, str) else "\x1f".join(text)
    rng = seeded(f"edit of {joined}", 0)
    if isinstance(text, str):
        found = _swapped(_SPACES.split(text), rng)
        return None if found is None else "".join(found)
    found = _swapped(text, rng)
    return None if found is None else tuple(found)
