"""Sentences and words of English text, by rules small enough to read."""

from __future__ import annotations

import re

# A word keeps its inner hyphens, apostrophes and decimal points; any other mark stands alone.
_WORD = re.compile(r"\w+(?:[-'’.]\w+)*|[^\w\s]")
_KEY = re.compile(r"\w+")
_END = re.compile(r"[.!?]+[)\]\"”]*\s+(?=[\"“(\[]*[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|al|etc|approx|ca|resp|incl|Fig|Figs|Tab|Sect|No|Dr|St|spp|sp|viz)"
    r"|\b[A-Z])\.\s+$"
)


def sentences(text: str) -> list[str]:
    """Split text into sentences.

    A sentence ends with a full stop, question or exclamation mark (closing quotes and brackets
    included) before white space and a capital or digit, but not after a listed abbreviation
    (`e.g.`, `et al.`) or a single capital (`E. coli`).

    Returns:
        Sentences without white space at their ends, none empty; white space within is single.
    """
    text = " ".join(text.split())
    found, start = [], 0
    for match in _END.finditer(text):
        if not _ABBREVIATION.search(text, start, match.end()):
            found.append(text[start : match.end()].strip())
            start = match.end()
    return [sentence for sentence in [*found, text[start:].strip()] if sentence]


def words(text: str) -> list[str]:
    """Split text into words and punctuation marks; a hyphenated word stays whole."""
    return _WORD.findall(text)


def text_key(text: str) -> str:
    """What two texts share that differ at most in case, punctuation and white space."""
    return " ".join(_KEY.findall(text.casefold()))
