"""The explorer as one HTML file that opens offline: markup, style, script and numbers.

`explorer.html` is the page that `explorer.css`, the `.js` files and the numbers are put into. Its
policy loads nothing from anywhere, whatever a name in a table says. The `.js` files are modules, as
editors and linters know them; a page that is opened from a disk cannot load modules, so they become
one script, and no two of them may give the same name at their top level.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from string import Template
from typing import Any

from layerscope.core.looks import looks
from layerscope.core.pages import origin_elements

#: In the order in which they run.
_MODULES = ("state", "charts", "pointer", "heads", "curves", "association", "evaluation", "start")
#: Colours of models on a dark ground: those of `core/looks.py`, lighter, in their order.
_DARK = (
    "#4BA3E3", "#F0803C", "#2BC79B", "#E3A3C8", "#F2B33D", "#9AD4F7", "#FFFFFF", "#DCCB3C",
)  # fmt: skip


def embedded(content: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def page(content: dict[str, Any]) -> str:
    """The whole page.

    Args:
        content: of `contents`. The page belongs into the study's folder: the audit is linked from
            there.
    """
    return Template(_read("explorer.html")).substitute(
        origin=origin_elements(),
        study=html.escape(content["study"]),
        style=_read("explorer.css") + _colours(),
        content=embedded(content),
        script="\n".join(_without_modules(_read(f"{name}.js")) for name in _MODULES),
    )


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _without_modules(script: str) -> str:
    """A module as part of a script: its imports are gone, and what it exports is declared."""
    body = re.sub(r"^(?:import [^;]*;\n)+\n", "", script)
    return re.sub(r"^export ", "", body, flags=re.MULTILINE)


def _colours() -> str:
    """A class `m0`, `m1`, … of each model's colour."""
    names = [str(i) for i in range(len(_DARK))]
    light = "".join(f".m{name} {{ --c: {look.colour}; }}\n" for name, look in looks(names).items())
    dark = "".join(f".m{i} {{ --c: {colour}; }}\n" for i, colour in enumerate(_DARK))
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"
