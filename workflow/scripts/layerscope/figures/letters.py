"""Letters that the style's font lacks, such as Chinese ones, from other installed fonts."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from layerscope.core.wording import few

#: Has a box for every letter there is.
_LAST_RESORT = "Last Resort"
_NAMED = 20  # letters at most that a message names

log = logging.getLogger(__name__)


def add_fallback_fonts(figure: Figure) -> bool:
    """Give texts with letters that their font lacks further fonts; say which letters none has.

    Args:
        figure: as drawn, so that its ticks have their labels.

    Returns:
        Whether any text got another font, which may be of another width.
    """
    texts = {text: lacking(text.get_text()) for text in figure.findobj(Text)}
    wanted = set().union(*texts.values())
    if not wanted:
        return False
    families, left = fallback_families(wanted, installed_letters())
    if left:
        log.warning(
            "no installed font has %s, drawn as boxes; a font that has them, such as "
            "Noto Sans CJK for Chinese, Japanese and Korean, is used once it is installed",
            few(sorted(left), _NAMED, " "),
        )
    for text, letters in texts.items():
        if letters:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    return bool(families)


def lacking(text: str) -> frozenset[str]:
    """Letters of a text that the style's font lacks; those that are not drawn are none."""
    if text.isascii():
        return frozenset()
    drawn = (each for each in text if unicodedata.category(each) not in ("Cc", "Cf"))
    return frozenset(each for each in drawn if ord(each) not in _letters(_default()))


def fallback_families(
    wanted: Iterable[str], known: Mapping[str, Iterable[int]]
) -> tuple[list[str], set[str]]:
    """The fewest font families, about, that have all letters.

    Args:
        wanted: letters.
        known: code points of each family.

    Returns:
        The families, those with the most of the letters first, and the letters that none has.
    """
    left, families = {ord(letter) for letter in wanted}, []
    codes = {family: left.intersection(each) for family, each in known.items()}
    while left and codes:
        family = min(codes, key=lambda name: (-len(codes[name] & left), name))
        if not codes[family] & left:
            break
        families.append(family)
        left -= codes[family]
    return families, {chr(code) for code in left}


def installed_letters() -> dict[str, frozenset[int]]:
    """Code points of each upright font family that matplotlib finds, other than the style's."""
    found: dict[str, frozenset[int]] = {}
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda each: each.fname):
        if entry.style == "normal" and not entry.name.startswith(_LAST_RESORT):
            try:
                found.setdefault(entry.name, _letters(entry.fname))
            except (OSError, RuntimeError):  # a file that is gone or broken
                continue
    return found


def _default() -> str:
    return str(font_manager.findfont("DejaVu Sans"))


@cache
def _letters(path: str | Path) -> frozenset[int]:
    return frozenset(font_manager.get_font(path).get_charmap())
