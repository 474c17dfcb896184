"""The summary as a text, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from layerscope.core.measures import LEVEL, of_first_split, of_main_rows, task_metrics
from layerscope.summary.adapters import adapter_findings
from layerscope.summary.associations import association_findings
from layerscope.summary.controls import control_findings, reached_findings
from layerscope.summary.head_importance import head_importance_findings
from layerscope.summary.head_lens import head_lens_findings
from layerscope.summary.heads import head_findings
from layerscope.summary.interventions import intervention_findings
from layerscope.summary.layers import input_findings, probe_findings, similarity_findings
from layerscope.summary.limits import limit_findings
from layerscope.summary.models import (
    architecture_findings,
    baseline_findings,
    domain_findings,
)
from layerscope.summary.patching import patching_findings
from layerscope.summary.scores import calibration_findings, novelty_findings, score_findings
from layerscope.summary.usable_information import information_findings
from layerscope.summary.variance import variance_findings

METRICS = {"accuracy": "accuracy", "entity_f1": "F1 of entities"}


def summarise(
    study: str,
    tables: Mapping[str, pd.DataFrame],
    confidence: float,
    notes: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
) -> str:
    """The summary in Markdown.

    Args:
        study: its name.
        tables: rows of `scores`, `training`, `probes` and `association`, and of those of
            the catalogue's `SUMMARY` that the study has.
        confidence: of intervals.
        notes: what readers must know of a model, in words that follow its name.
        missing: which analyses are not applicable to which models, and why.
    """
    compared = (
        "Scores differ significantly where p of a test that draws seeds and test examples is "
        f"below {LEVEL:g} after Holm's correction"
        if "significance" in tables
        else "Scores are not compared, since the study makes no tests"
    )
    lines = [
        f"# Study {study}: what its tables support",
        "",
        f"Made from `tables/` by rules; intervals cover {100 * confidence:g} %. {compared}; "
        "calibration errors, where their intervals do not overlap. Measures with one value per "
        "seed get a t-interval across seeds; with few seeds, only large effects are significant. "
        "Inner measures and scores are compared between independent models within each training "
        "fraction; an association is stated where p of a permutation test is at most "
        f"{LEVEL:g} after correction for the number of inner measures.",
    ]
    if notes:
        lines += ["", "## The models", ""]
        lines += [f"- {model} {note}." for model, note in notes.items()]
    if missing:
        lines += ["", "## Not applicable", "", *(f"- {line}." for line in missing)]
    for task in tables["scores"]["task"].unique():
        own = {name: rows[rows["task"] == task] for name, rows in tables.items()}
        lines += ["", f"## {task}"]
        for title, findings in _task_findings(own, confidence).items():
            lines += ["", f"### {title}", ""]
            lines += [f"- {text}" for text in findings] or ["- Nothing that an interval supports."]
    return "\n".join(lines) + "\n"


def _task_findings(own: Mapping[str, pd.DataFrame], confidence: float) -> dict[str, list[str]]:
    """Findings by heading, from one task's rows of each table; arguments as of `summarise`."""
    scores = own["scores"]
    metric, _ = task_metrics(set(scores["metric"]))
    decoders = set(scores.loc[scores["architecture"] == "decoder", "model"])
    of_scores = scores, metric, own.get("significance")
    parts = {
        "What cannot be concluded": limit_findings(own),
        f"Scores ({METRICS[metric]})": score_findings(*of_scores),
        "Models and baselines": baseline_findings(*of_scores),
        "Kinds of models": [*architecture_findings(*of_scores), *domain_findings(*of_scores)],
    }
    if "error_analysis" in own:
        parts["Calibration"] = calibration_findings(own["error_analysis"])
        if "f1_gap" in set(own["error_analysis"]["measure"]):
            parts["Seen and unseen entities"] = novelty_findings(own["error_analysis"])
    probes = of_main_rows(own["probes"])
    parts["What layers encode before fine-tuning"] = [
        *control_findings(probes, metric),
        *reached_findings(probes, scores, metric),
    ]
    parts["What fine-tuning adds to layers"] = probe_findings(of_first_split(own["probes"]), metric)
    if "usable_information" in own:
        parts["What predictors can use of layers"] = information_findings(own["usable_information"])
    parts["Pooling and features of decoders"] = input_findings(probes, decoders, metric, confidence)
    if "similarity" in own:
        parts["How representations change"] = similarity_findings(own["similarity"], confidence)
    if "heads" in own:
        parts["Attention heads"] = head_findings(own["heads"], confidence)
    if "head_correlations" in own:
        parts["Heads that matter"] = head_importance_findings(own["head_correlations"], confidence)
    if "interventions" in own:
        parts["What the score depends on"] = intervention_findings(
            own["interventions"], metric, confidence
        )
    if "patching" in own:
        parts["Where the change matters"] = patching_findings(own["patching"], metric, confidence)
    if "head_lens" in own:
        parts["Where the answer is formed"] = head_lens_findings(own["head_lens"])
    if "adapters" in own:
        parts["Whole models and adapters"] = adapter_findings(own["adapters"])
    if "variance" in own:
        parts["What trainings vary by"] = variance_findings(
            own["variance"], own["variance-differences"]
        )
    parts["Inner measures and the score"] = association_findings(own["association"], metric)
    return parts
