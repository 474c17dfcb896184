"""The summary as a text, task by task."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from layerscope.core.measures import BASELINES, LEVEL, of_first_split, of_main_rows, task_metrics
from layerscope.summary.associations import association_findings
from layerscope.summary.heads import head_findings, intervention_findings
from layerscope.summary.layers import input_findings, probe_findings, similarity_findings
from layerscope.summary.scores import calibration_findings, novelty_findings, score_findings

METRICS = {"accuracy": "accuracy", "entity_f1": "F1 of entities"}


def summarise(
    study: str, tables: Mapping[str, pd.DataFrame], confidence: float, resamples: int
) -> str:
    """The summary in Markdown.

    Args:
        study: its name.
        tables: rows of `scores`, `probes` and `association`, and of those of `significance`,
            `error_analysis`, `similarity`, `heads` and `interventions` that the study has.
        confidence: of intervals.
        resamples: of the tests in the table of differences.
    """
    compared = (
        f"Two models' scores are said to differ where p of a paired test is below {LEVEL:g} after "
        "Holm's correction"
        if "significance" in tables
        else "Models' scores are not compared, since the study has no paired tests"
    )
    lines = [
        f"# Study {study}: what its tables support",
        "",
        f"Made from `tables/` by rules; intervals cover {100 * confidence:g} %. {compared}; "
        "shares of the data, and calibration errors, where intervals over examples and seeds do "
        "not overlap. What has "
        "one value a seed has Student's interval over seeds, which with few seeds only large "
        "effects pass. Associations are over fine-tuned variants, resampled by model; few models "
        "make them uncertain, and they are not corrected for their number.",
    ]
    for task in tables["scores"]["task"].unique():
        own = {name: rows[rows["task"] == task] for name, rows in tables.items()}
        lines += ["", f"## {task}"]
        for title, findings in _task_findings(own, confidence, resamples).items():
            lines += ["", f"### {title}", ""]
            lines += [f"- {text}" for text in findings] or ["- Nothing that an interval supports."]
    return "\n".join(lines) + "\n"


def _task_findings(
    own: Mapping[str, pd.DataFrame], confidence: float, resamples: int
) -> dict[str, list[str]]:
    """Findings by heading, from one task's rows of each table; arguments as of `summarise`."""
    scores = own["scores"]
    metric, _ = task_metrics(set(scores["metric"]))
    decoders = set(scores.loc[scores["architecture"] == "decoder", "model"])
    models = len(set(scores["model"]) - set(BASELINES))
    parts = {
        f"Scores ({METRICS[metric]})": score_findings(
            scores, metric, own.get("significance"), resamples
        )
    }
    if "error_analysis" in own:
        parts["Calibration"] = calibration_findings(own["error_analysis"])
        if "f1_gap" in set(own["error_analysis"]["measure"]):
            parts["Seen and unseen entities"] = novelty_findings(own["error_analysis"])
    probes = of_main_rows(own["probes"])
    parts["What layers encode"] = probe_findings(of_first_split(own["probes"]), metric)
    parts["Pooling and features of decoders"] = input_findings(probes, decoders, metric, confidence)
    if "similarity" in own:
        parts["How representations change"] = similarity_findings(own["similarity"], confidence)
    if "heads" in own:
        parts["Attention heads"] = head_findings(own["heads"], confidence)
    if "interventions" in own:
        parts["What the score depends on"] = intervention_findings(
            own["interventions"], metric, confidence
        )
    parts["Inner measures and the score"] = association_findings(
        own["association"], metric, confidence, models
    )
    return parts
