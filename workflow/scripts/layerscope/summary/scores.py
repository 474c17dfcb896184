"""Findings on downstream scores: models, shares of the data, calibration, entities seen before."""

from __future__ import annotations

import pandas as pd

from layerscope.core.measures import BASELINES, LEVEL
from layerscope.summary.intervals import Interval, above, listed, supported


def _scores(rows: pd.DataFrame, metric: str) -> dict[int, dict[str, Interval]]:
    """Means over seeds, or the one seed's score, by share and model."""
    found: dict[int, dict[str, Interval]] = {}
    chosen = rows[rows["metric"] == metric].dropna(subset=["value", "low"])
    for row in _means_last(chosen).itertuples():
        interval = Interval(row.value, row.low, row.high)
        found.setdefault(row.percent, {})[row.model] = interval
    return found


def _means_last(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds behind single seeds, whose place they take when rows become entries."""
    return rows.sort_values("seed", key=pd.Series.isna, kind="stable")


def _compared(rows: pd.DataFrame) -> dict[tuple[str, str], tuple[Interval, bool]]:
    """How much the first model of a pair is above the second, and whether they are told apart."""
    found = {}
    for row in rows.dropna(subset=["value", "low", "high", "holm"]).itertuples():
        change, told = Interval(row.value, row.low, row.high), row.holm < LEVEL
        found[row.other, row.model] = (change, told)
        found[row.model, row.other] = (change.turned(), told)
    return found


def score_findings(
    rows: pd.DataFrame, metric: str, differences: pd.DataFrame | None, resamples: int
) -> list[str]:
    """Which model is best, what more data gives, and general against biomedical models.

    Args:
        rows: one task's rows of the table of scores.
        metric: of the task.
        differences: the task's rows of the table of differences; None if no tests are made,
            and then models are not compared.
        resamples: of their tests.
    """
    scores = _scores(rows, metric)
    if not scores:
        return []
    least, most = min(scores), max(scores)
    largest = scores[most]
    models = [name for name in largest if name not in BASELINES]
    best = max(models, key=lambda name: largest[name].value)
    others = sorted((n for n in largest if n != best), key=lambda n: -largest[n].value)
    tests = 0 if differences is None else len(differences)
    pairs = {} if differences is None else _compared(differences)
    apart = {n: pairs[best, n][0] for n in others if (best, n) in pairs and pairs[best, n][1]}
    below = [f"{name} by {gap}" for name, gap in apart.items() if gap.value > 0]
    over = [f"{name} by {gap.turned()}" for name, gap in apart.items() if gap.value <= 0]
    near = [f"{name}, {largest[name]}" for name in others if name not in apart]
    text = (
        f"**{best}** scores highest of the models after fine-tuning on {most} %: {largest[best]}."
    )
    text += f" Above it: {listed(over)}." if over else ""
    text += f" Below it: {listed(below)}." if below else ""
    if near:
        text += " The others, without a test" if differences is None else " Not told apart from it"
        text += f": {listed(near)}."
    found = [text]
    if tests >= LEVEL * (1 + resamples):
        found.append(
            f"With {resamples} resamples no two of so many models can be told apart after Holm's "
            f"correction: {tests} pairs need at least {tests / LEVEL:.0f}."
        )
    if least < most:
        gains = [name for name in models if above(scores[most][name], scores[least][name])]
        flat = [name for name in models if name not in gains]
        if gains:
            each = [f"{n} from {scores[least][n]} to {scores[most][n]}" for n in gains]
            found.append(f"From {least} % to {most} % of the data gain: {listed(each)}.")
        if flat:
            found.append(
                f"No gain from {least} % to {most} % is told apart from none: {listed(flat)}."
            )
    about = {row.model: (row.architecture, row.domain) for row in rows.itertuples()}
    compared = models if differences is not None else []
    for architecture in dict.fromkeys(about[name][0] for name in compared):
        kinds = {
            domain: [name for name in models if about[name] == (architecture, domain)]
            for domain in ("general", "biomedical")
        }
        for general in kinds["general"]:
            for special in kinds["biomedical"]:
                a, b = largest[special], largest[general]
                change, told = pairs.get((special, general), (None, False))
                if change is not None and told:
                    verb, by = ("above", change) if change.value > 0 else ("below", change.turned())
                    found.append(
                        f"The biomedical {special} is {verb} the general {general} by {by}."
                    )
                else:
                    found.append(
                        f"The biomedical {special}, {a}, and the general {general}, {b}, "
                        "are not told apart."
                    )
    return found


def _evaluated(rows: pd.DataFrame, measure: str) -> dict[str, Interval]:
    """A measure of each model on the largest share: the mean over seeds, or of the one seed.

    A measure without an interval has one without width.
    """
    chosen = rows[(rows["measure"] == measure) & rows["value"].notna()]
    largest = _means_last(chosen[chosen["percent"] == chosen["percent"].max()])
    ends = (largest[end].fillna(largest["value"]) for end in ("low", "high"))
    intervals = map(Interval, largest["value"], *ends)
    return dict(zip(largest["model"], intervals, strict=True))


def calibration_findings(rows: pd.DataFrame) -> list[str]:
    """Which models are better calibrated than others.

    Args:
        rows: one task's rows of the table of evaluation.
    """
    errors, chance = _evaluated(rows, "ece"), _evaluated(rows, "ece_calibrated")

    def worse(one: str, other: str) -> bool:
        by_chance = chance[one].value - chance[other].value
        return errors[one].low > errors[other].high + max(by_chance, 0)

    best = min(errors, key=lambda name: errors[name].value, default="")
    others = sorted((name for name in errors if name != best), key=lambda name: errors[name].value)
    told = [f"{name}, {errors[name]}" for name in others if worse(name, best)]
    near = [f"{name}, {errors[name]}" for name in others if not worse(name, best)]
    if not told:
        return []
    text = f"**{best}** has the smallest calibration error (ECE): {errors[best]}. "
    text += f"Larger is that of {listed(told)}."
    return [text + (f" Not told apart from it: {listed(near)}." if near else "")]


def novelty_findings(rows: pd.DataFrame) -> list[str]:
    """Whether entities that the training sample has are found better than others.

    Args:
        rows: one task's rows of the table of evaluation.
    """
    gaps = _evaluated(rows, "f1_gap")
    seen, unseen = _evaluated(rows, "f1_seen"), _evaluated(rows, "f1_unseen")
    told = [name for name, gap in gaps.items() if supported(gap)]
    found = []
    for better, side in (("seen", 1), ("unseen", -1)):
        each = [
            f"{name} by {gaps[name] if side > 0 else gaps[name].turned()}, "
            f"{seen[name].value:.3f} against {unseen[name].value:.3f}"
            for name in told
            if side * gaps[name].value > 0
        ]
        if each:
            found.append(
                f"F1 of {better} entities is higher (seen against unseen): {listed(each)}."
            )
    silent = [name for name in gaps if name not in told]
    if silent:
        found.append(f"F1 of seen and unseen entities is not told apart in {listed(silent)}.")
    return found
