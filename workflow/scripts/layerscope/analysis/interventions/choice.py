"""Which interventions are made on a model: those that its parts allow, and why others are not."""

from __future__ import annotations

import logging
from pathlib import Path

import pyarrow as pa

from layerscope.analysis.interventions.erasure import erased_layers, read_inputs
from layerscope.analysis.interventions.heads import masked_heads, mean_outputs, ranked_heads
from layerscope.analysis.interventions.passes import Intervention
from layerscope.config.extraction import Activations
from layerscope.config.interventions import Interventions
from layerscope.core.applicability import reasons_of
from layerscope.core.errors import NotApplicableError
from layerscope.core.formats import read_table
from layerscope.data.labels import TaskLabels
from layerscope.models.hooks import all_heads
from layerscope.models.loaded import LoadedModel
from layerscope.models.parts import blocks

MASKED, ERASED = "masked heads", "erased label"

log = logging.getLogger(__name__)


def interventions_of(
    loaded: LoadedModel,
    reference: pa.Table,
    task: TaskLabels,
    name: str,
    settings: Interventions,
    passes: Activations,
    attention: str | Path | None,
) -> tuple[list[Intervention], dict[str, str]]:
    """The interventions on a model, and reason by kind of intervention for which there are none.

    Args:
        loaded: fine-tuned, with its head.
        reference: prepared rows that no variant learned from.
        task: its labels.
        name: of the model and its variant, for random draws.
        settings: which heads are masked.
        passes: limits and precision of forward passes.
        attention: file whose changes rank heads; None to mask none.

    Raises:
        UserError: as of `erased_layers` and `ranked_heads`.
    """
    reasons: dict[str, str] = {}
    masked: list[Intervention] = []
    try:
        blocks(loaded.model)
        inputs = read_inputs(loaded, reference, task, passes)
    except NotApplicableError as error:
        log.warning("interventions are not applicable: %s", error)
        return [], {MASKED: str(error), ERASED: str(error)}
    if attention:
        try:
            ranked = ranked_heads(_known(attention), all_heads(loaded.model))
            means = mean_outputs(loaded, inputs.sequences, passes)
            masked = masked_heads(ranked, settings, name, means)
        except NotApplicableError as error:
            log.warning("no heads are masked: %s", error)
            reasons[MASKED] = str(error)
    erased = erased_layers(loaded, inputs, task, name, settings.seed, passes)
    return [*masked, *erased], reasons


def _known(attention: str | Path) -> pa.Table:
    """Changes of heads.

    Raises:
        NotApplicableError: there are none, since the model has no attention maps.
    """
    if reason := reasons_of(attention, "attention").get("attention"):
        raise NotApplicableError(reason)
    return read_table(attention, "attention")
