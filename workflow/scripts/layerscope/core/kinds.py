"""Kinds of tasks, and what each one labels. Nothing else knows how they differ in that.

`classification` labels a text, `nli` a pair of texts, `ner` each word of a sentence.
"""

from __future__ import annotations

from typing import Literal, get_args

TaskKind = Literal["nli", "classification", "ner"]

KINDS: tuple[TaskKind, ...] = get_args(TaskKind)

#: Columns of prepared tables that hold the texts of an example which has one label.
_TEXTS: dict[str, tuple[str, ...]] = {
    "nli": ("premise", "hypothesis"),
    "classification": ("text",),
}


def labels_examples(kind: str) -> bool:
    """Whether an example of a task has one label; if not, each of its words has one."""
    return kind in _TEXTS


def text_columns(kind: str) -> tuple[str, ...]:
    """Columns with the texts of an example that has one label: two of a pair, or one.

    Raises:
        KeyError: the kind labels words.
    """
    return _TEXTS[kind]


def units(kind: str) -> str:
    """What messages and counts call what one label is of: pairs, texts or words."""
    if not labels_examples(kind):
        return "words"
    return "pairs" if len(_TEXTS[kind]) > 1 else "texts"
