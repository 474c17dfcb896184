"""Which test rows causal checks are scored on."""

from __future__ import annotations

import pyarrow as pa

from layerscope.config.interventions import Interventions
from layerscope.core.kinds import TaskKind, labels_examples
from layerscope.data.sampling import limited_rows


def scored_examples(test: pa.Table, kind: TaskKind, settings: Interventions) -> pa.Table:
    """The test rows that a changed model is scored on: whole groups, stratified, in their order.

    Raises:
        UserError: the first group that is drawn has more rows than are allowed.
    """
    if settings.examples is None:
        return test
    columns = ["group_id", "label" if labels_examples(kind) else "tags"]
    rows = test.select(columns).to_pylist()
    return test.take(
        limited_rows(kind, rows, settings.examples, settings.seed, "interventions.examples")
    )
