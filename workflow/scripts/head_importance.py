"""Importance of a fine-tuned model's attention heads: gradients of its loss at a gate on each."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from typing import Any

from layerscope.analysis import fine_tuned
from layerscope.runtime.gpus import use_gpus
from layerscope.runtime.program import run

log = logging.getLogger(__name__)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    fine_tuned.add_arguments(parser)
    fine_tuned.add_reference_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Load the model, take the gradients of reference rows, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.head_importance import head_gradients
    from layerscope.core.applicability import described
    from layerscope.core.errors import NotApplicableError
    from layerscope.core.formats import SCHEMAS, read_sample, write_table

    asked = fine_tuned.read(arguments, arguments.base)
    reference = read_sample(arguments.reference, arguments.sample, asked.task.kind)
    columns: Mapping[str, Any] = {name: [] for name in SCHEMAS["head_importance"]}
    missing = {}
    try:
        columns = head_gradients(
            asked.loaded, reference, asked.task, asked.settings.seed, asked.passes
        )
    except NotApplicableError as error:
        log.warning("the importance of heads is not applicable: %s", error)
        missing = {"head importance": str(error)}
    write_table(arguments.out, "head_importance", columns, described(missing))


if __name__ == "__main__":
    run(main)
