"""Variants that analyses of their own program are made of: those of the largest fraction."""

from __future__ import annotations

from layerscope.config.jobs import compared_variants
from layerscope.config.schema import Study


def largest_variants(study: Study, analysis: str) -> list[str]:
    """Variants fine-tuned on the largest training fraction; none if the analysis is turned off.

    Args:
        study: the configuration.
        analysis: a key of its `analyses`.
    """
    return compared_variants(study)[1:] if getattr(study.analyses, analysis) else []
