"""Predict the test split with baselines that need no language model."""

from __future__ import annotations

import argparse

from layerscope.core.kinds import KINDS
from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, predict with each baseline, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--kind", choices=KINDS, required=True, help="of the task")
    parser.add_argument("--train", required=True, help="prepared table")
    parser.add_argument("--sample", required=True, help="ids of the training table to learn from")
    parser.add_argument("--test", required=True, help="prepared table")
    parser.add_argument("--percent", type=int, required=True, help="of the training data sampled")
    parser.add_argument("--seed", type=int, required=True, help="of the sample")
    parser.add_argument(
        "--baseline", action="append", required=True, metavar="NAME=OUT", help="may be repeated"
    )
    arguments = parser.parse_args()

    from layerscope.core.errors import UserError
    from layerscope.core.formats import file_metadata, read_sample, read_table, write_table
    from layerscope.evaluation.baselines import predict_baseline

    kind = arguments.kind
    names = file_metadata(arguments.test, kind)["labels"]
    train = read_sample(arguments.train, arguments.sample, kind)
    test = read_table(arguments.test, kind)
    for entry in arguments.baseline:
        name, separator, out = entry.partition("=")
        if not (separator and out):
            raise UserError(f"--baseline {entry!r}; allowed: NAME=FILE")
        metadata = {
            "task": arguments.task,
            "model": name,
            "variant": f"f{arguments.percent}-s{arguments.seed}",
            "kind_of_task": kind,
            "labels": names,
        }
        columns = predict_baseline(name, train, test, kind, names)
        write_table(out, "predictions", columns, metadata)


if __name__ == "__main__":
    run(main)
