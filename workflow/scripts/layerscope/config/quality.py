"""Variants whose representations are described without labels."""

from __future__ import annotations

from layerscope.config.jobs import all_variants, compared_variants
from layerscope.config.schema import Study
from layerscope.core.variants import RANDOM, without_seed


def described_variants(study: Study) -> list[str]:
    """The pre-trained one, random weights, and those of the largest training fraction."""
    if not study.analyses.representation_quality:
        return []
    compared = compared_variants(study)
    return [v for v in all_variants(study) if v in compared or without_seed(v) == RANDOM]
