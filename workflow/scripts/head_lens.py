"""The head lens: the head of a fine-tuned model put on each of its layers, and how it answers."""

from __future__ import annotations

import argparse
import logging

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
    """Load the model, fit translators on reference rows, answer test rows, score, write."""
    arguments = read_arguments()
    use_gpus(arguments.gpus)

    from layerscope.analysis.head_lens.lens import lens, own_rows
    from layerscope.core.applicability import described
    from layerscope.core.errors import NotApplicableError
    from layerscope.core.formats import read_sample, write_table
    from layerscope.extraction.predictions import predict

    asked = fine_tuned.read(arguments, arguments.base)
    loaded, task, test, passes = asked.loaded, asked.task, asked.test, asked.passes
    reference = read_sample(arguments.reference, arguments.sample, task.kind)
    name = f"{arguments.task} {arguments.name} {arguments.variant}"
    missing = {}
    try:
        rows = lens(loaded, reference, test, task, name, asked.settings.seed, passes)
    except NotApplicableError as error:
        log.warning("the head lens is not applicable: %s", error)
        missing = {"head lens": str(error)}
        rows = own_rows(predict(loaded, test, task, passes)["predicted"], test, task)
    write_table(arguments.out, "head_lens", rows, described(missing))


if __name__ == "__main__":
    run(main)
