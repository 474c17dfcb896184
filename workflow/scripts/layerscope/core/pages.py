"""What HTML pages of a study have in common."""

from __future__ import annotations

import html

from layerscope.core.lineage import mark, of_this_run


def origin_elements() -> str:
    """Where the page that this run writes comes from, as figures carry it: elements of its head."""
    origin = of_this_run()
    if origin is None:
        return ""
    described = {"description": origin.statement, "identifier": mark(origin.lineage)}
    return "".join(
        f'<meta name="{name}" content="{html.escape(text)}">\n' for name, text in described.items()
    )
