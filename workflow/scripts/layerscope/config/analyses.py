"""Which analyses a study has beyond scores, probes and attention."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from layerscope.catalogue import SWITCHES
from layerscope.config.base import Section

_FIELDS: dict[str, Any] = {
    name: (bool, Field(default=True, description=about)) for name, about in SWITCHES.items()
}


class Analyses(create_model("Switches", __base__=Section, **_FIELDS)):  # type: ignore[misc]
    """Each has its jobs, tables and figures; what is turned off is not planned."""
