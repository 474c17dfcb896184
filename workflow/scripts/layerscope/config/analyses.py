"""Which analyses a study has beyond scores, probes and attention."""

from __future__ import annotations

from pydantic import Field

from layerscope.config.base import Section


class Analyses(Section):
    """Each has its jobs, tables and figures; what is turned off is not planned."""

    similarity: bool = Field(
        default=True, description="how representations change, and how alike models are (CKA)"
    )
    entry: bool = Field(default=True, description="at which layer a probe's score is reached")
    heads: bool = Field(default=True, description="how far each attention head has moved")
    differences: bool = Field(default=True, description="paired tests between models")
    evaluation: bool = Field(
        default=True, description="calibration, F1 of classes, and of entities seen before"
    )
    summary: bool = Field(default=True, description="findings in sentences")
    explorer: bool = Field(default=True, description="page in which to choose what to see")
