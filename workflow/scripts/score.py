"""Score the predictions of all fine-tuned variants of one model on one task."""

from __future__ import annotations

import argparse

from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the statistics settings")
    parser.add_argument("--predictions", nargs="+", required=True, help="one file per variant")
    parser.add_argument("--out", required=True, help="JSON of scores and confusion counts")
    arguments = parser.parse_args()

    from layerscope.config.statistics import Statistics
    from layerscope.core.files import write_json
    from layerscope.evaluation.prediction_files import read_predictions
    from layerscope.evaluation.scoring import score

    settings = Statistics.model_validate_json(arguments.settings)
    files = [read_predictions(path) for path in arguments.predictions]
    write_json(arguments.out, score(files, settings))


if __name__ == "__main__":
    run(main)
