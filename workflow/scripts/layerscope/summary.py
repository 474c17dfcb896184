"""A study's findings in sentences, made from its tables by rules.

A finding is stated only where an interval supports it, and what is not told apart is said to be so:

- Two models' scores differ where p of the paired test, after Holm's correction, is below 0.05. Two
  shares of the data differ where their intervals (over examples and seeds) do not overlap, which is
  stricter than a test of the difference.
- Calibration errors differ where their intervals do not overlap, and would not either if each were
  less by the error that a calibrated model with the same confidences has by chance.
- Seen and unseen entities differ where the interval of their difference excludes 0.
- What has one value a seed (probes, similarity) has Student's interval of the mean over seeds. With
  two seeds only large effects pass it.
- An association is stated where the interval of its bootstrap over models excludes 0. They are not
  corrected for their number, which is why the number that chance alone would give is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from layerscope.measures import BASELINES, LEVEL, task_metrics
from layerscope.statistics import told_from_zero
from layerscope.variants import PRETRAINED

Row = Mapping[str, Any]
HALVES = ("premise", "hypothesis")
#: Seeds without which nothing is said of probes: their scores are so coarse that two seeds often
#: agree by chance, and an interval without width is no evidence.
LEAST_SEEDS = 3
#: Associations that are named, the strongest first.
NAMED = 5
METRICS = {"accuracy": "accuracy", "entity_f1": "F1 of entities"}


class Interval(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float

    def turned(self) -> Interval:
        """Of the value with the other sign."""
        return Interval(-self.value, -self.high, -self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def over_seeds(values: Sequence[float], confidence: float) -> Interval:
    """Mean with Student's interval; without bounds if there is one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, -np.inf, np.inf)
    half = float(
        t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    )
    return Interval(mean, mean - half, mean + half)


def above(one: Interval, other: Interval) -> bool:
    """Whether the whole of one interval lies above the other."""
    return one.low > other.high


def supported(difference: Interval) -> bool:
    """Whether an interval excludes 0."""
    return difference.low > 0 or difference.high < 0


def _scores(rows: Sequence[Row], metric: str) -> dict[int, dict[str, Interval]]:
    """Means over seeds, or the one seed's score, by share and model."""
    found: dict[int, dict[str, Interval]] = {}
    for wanted_mean in (False, True):  # a mean over seeds takes the place of a seed's own
        for row in rows:
            if row["metric"] == metric and (row["seed"] is None) == wanted_mean:
                if row["value"] is None or row["low"] is None:
                    continue
                value = Interval(row["value"], row["low"], row["high"])
                found.setdefault(row["percent"], {})[row["model"]] = value
    return found


def _compared(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[Interval, bool]]:
    """How much the first model of a pair is above the second, and whether they are told apart."""
    found = {}
    for row in rows:
        if None not in (row["value"], row["low"], row["high"], row["holm"]):
            change, told = Interval(row["value"], row["low"], row["high"]), row["holm"] < LEVEL
            found[row["other"], row["model"]] = (change, told)
            found[row["model"], row["other"]] = (change.turned(), told)
    return found


def score_findings(
    rows: Sequence[Row], metric: str, differences: Sequence[Row], resamples: int
) -> list[str]:
    """Which model is best, what more data gives, and general against biomedical models.

    Args:
        rows: one task's rows of the table of scores.
        metric: of the task.
        differences: the task's rows of the table of differences.
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
    pairs = _compared(differences)
    apart = {n: pairs[best, n][0] for n in others if (best, n) in pairs and pairs[best, n][1]}
    below = [f"{name} by {gap}" for name, gap in apart.items() if gap.value > 0]
    over = [f"{name} by {gap.turned()}" for name, gap in apart.items() if gap.value <= 0]
    near = [f"{name}, {largest[name]}" for name in others if name not in apart]
    text = (
        f"**{best}** scores highest of the models after fine-tuning on {most} %: {largest[best]}."
    )
    text += f" Above it: {_list(over)}." if over else ""
    text += f" Below it: {_list(below)}." if below else ""
    text += f" Not told apart from it: {_list(near)}." if near else ""
    found = [text]
    if len(differences) >= LEVEL * (1 + resamples):
        found.append(
            f"With {resamples} resamples no two of so many models can be told apart after Holm's "
            f"correction: {len(differences)} pairs need at least {len(differences) / LEVEL:.0f}."
        )
    if least < most:
        gains = [name for name in models if above(scores[most][name], scores[least][name])]
        flat = [name for name in models if name not in gains]
        if gains:
            each = [f"{n} from {scores[least][n]} to {scores[most][n]}" for n in gains]
            found.append(f"From {least} % to {most} % of the data gain: {_list(each)}.")
        if flat:
            found.append(
                f"No gain from {least} % to {most} % is told apart from none: {_list(flat)}."
            )
    about = {row["model"]: (row["architecture"], row["domain"]) for row in rows}
    for architecture in dict.fromkeys(about[name][0] for name in models):
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


def probe_findings(rows: Sequence[Row], metric: str, confidence: float) -> list[str]:
    """What fine-tuning on the largest share does to the best layer's probe score.

    Args:
        rows: one task's rows of the table of probes.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    tuned = [row["percent"] for row in rows if row["percent"] > 0]
    if not tuned:
        return []
    most = max(tuned)
    best: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        if row["metric"] == metric and row["value"] is not None and row["view"] not in HALVES:
            by_variant = best.setdefault((row["probe"], row["view"], row["model"]), {})
            variant = row["variant"]
            if row["percent"] == most or variant == PRETRAINED:
                by_variant[variant] = max(row["value"], by_variant.get(variant, -np.inf))
    if len({row["variant"] for row in rows if row["percent"] == most}) < LEAST_SEEDS:
        return [f"Nothing is said of probes with fewer than {LEAST_SEEDS} seeds: see the figures."]
    changes: dict[tuple[str, str], list[tuple[str, Interval]]] = {}
    for (probe, view, model), by_variant in best.items():
        if PRETRAINED in by_variant and len(by_variant) > 1:
            before = by_variant.pop(PRETRAINED)
            change = over_seeds([value - before for value in by_variant.values()], confidence)
            changes.setdefault((probe, view), []).append((model, change))
    found = []
    for (probe, view), each in changes.items():
        named = f"the {probe} probe" + (f" ({view})" if view != "word" else "")
        told = [f"{model} by {change}" for model, change in each if supported(change)]
        if told:
            found.append(
                f"Fine-tuning on {most} % changes the best layer's score of {named}: {_list(told)}."
            )
        silent = [model for model, change in each if not supported(change)]
        if silent:
            found.append(
                f"No change of the best layer's score of {named} is told apart from none in "
                f"{_list(silent)}."
            )
    return found


def similarity_findings(rows: Sequence[Row], confidence: float) -> list[str]:
    """Where representations move: the last layer against the first block, by CKA.

    Args:
        rows: one task's rows of the table of similarity.
        confidence: of intervals over seeds.
    """
    tuned = [row for row in rows if row["measure"] == "cka" and row["percent"] > 0]
    tuned = [row for row in tuned if row["value"] is not None]
    if not tuned:
        return []
    most = max(row["percent"] for row in tuned)
    curves: dict[tuple[str, str], dict[int, dict[int, float]]] = {}
    for row in tuned:
        if row["percent"] == most:
            by_seed = curves.setdefault((row["view"], row["model"]), {})
            by_seed.setdefault(row["seed"], {})[row["layer"]] = row["value"]
    found = []
    for (view, model), by_seed in curves.items():
        last = max(layer for curve in by_seed.values() for layer in curve)
        if last < 2:
            continue
        ends = [(curve[1], curve[last]) for curve in by_seed.values()]
        difference = over_seeds([first - end for first, end in ends], confidence)
        name = f"{model}" + (f" ({view})" if view != "word" else "")
        if supported(difference):
            first, end = (float(np.mean(side)) for side in zip(*ends, strict=True))
            which = "last layer moves more" if difference.value > 0 else "first block moves more"
            found.append(
                f"In {name} the {which}: CKA with the pre-trained model is {first:.3f} at layer 1 "
                f"and {end:.3f} at layer {last}, a difference of {difference}."
            )
    return found


def _evaluated(rows: Sequence[Row], measure: str) -> dict[str, Interval]:
    """A measure of each model on the largest share: the mean over seeds, or of the one seed.

    A measure without an interval has one without width.
    """
    chosen = [r for r in rows if r["measure"] == measure and r["value"] is not None]
    most = max((row["percent"] for row in chosen), default=0)
    found: dict[str, Interval] = {}
    for row in sorted(chosen, key=lambda row: row["seed"] is None):  # a mean takes a seed's place
        if row["percent"] == most:
            ends = (row["value"] if row[end] is None else row[end] for end in ("low", "high"))
            found[row["model"]] = Interval(row["value"], *ends)
    return found


def calibration_findings(rows: Sequence[Row]) -> list[str]:
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
    text += f"Larger is that of {_list(told)}."
    return [text + (f" Not told apart from it: {_list(near)}." if near else "")]


def novelty_findings(rows: Sequence[Row]) -> list[str]:
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
            found.append(f"F1 of {better} entities is higher (seen against unseen): {_list(each)}.")
    silent = [name for name in gaps if name not in told]
    if silent:
        found.append(f"F1 of seen and unseen entities is not told apart in {_list(silent)}.")
    return found


def association_findings(
    rows: Sequence[Row], metric: str, confidence: float, models: int
) -> list[str]:
    """Which inner measures go with the score.

    Args:
        rows: one task's rows of the table of associations.
        metric: of the task.
        confidence: of their intervals.
        models: how many there are.
    """
    chosen = [
        row
        for row in rows
        if row["metric"] == metric
        and row["statistic"] == "spearman"
        and None not in (row["value"], row["low"], row["high"])
    ]
    if not chosen:
        return [
            "No association of an inner measure with the score has an interval: there are too few "
            "models."
        ]
    told = [row for row in chosen if row["low"] > 0 or row["high"] < 0]
    told.sort(key=lambda row: -abs(row["value"]))
    text = f"Of {len(chosen)} inner measures {len(told)} go with the score by an interval that "
    text += "excludes 0"
    text += f" (chance alone would give about {(1 - confidence) * len(chosen):.0f})"
    power = told_from_zero(models, round(1 - confidence, 6))
    power = f"Intervals that exclude 0 lean on variants of the same models: {power}."
    if not told:
        return [text + ".", power]
    named = [
        f"{row['inner measure']}, {Interval(row['value'], row['low'], row['high'])}"
        for row in told[:NAMED]
    ]
    return [f"{text}; the strongest, by Spearman: {'; '.join(named)}.", power]


def _list(items: Iterable[str]) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else f"{'; '.join(items[:-1])}; and {items[-1]}"


def summarise(
    study: str, tables: Mapping[str, Sequence[Row]], confidence: float, resamples: int
) -> str:
    """The summary in Markdown.

    Args:
        study: its name.
        tables: rows of `scores`, `differences`, `evaluation`, `probes`, `similarity` and
            `association`.
        confidence: of intervals.
        resamples: of the tests in the table of differences.
    """
    lines = [
        f"# Study {study}: what its tables support",
        "",
        f"Made from `tables/` by rules; intervals cover {100 * confidence:g} %. Two models' scores "
        f"are said to differ where p of a paired test is below {LEVEL:g} after Holm's correction; "
        "shares of the data, and calibration errors, where intervals over examples and seeds do "
        "not overlap. What has "
        "one value a seed has Student's interval over seeds, which with few seeds only large "
        "effects pass. Associations are over fine-tuned variants, resampled by model; few models "
        "make them uncertain, and they are not corrected for their number.",
    ]
    for task in dict.fromkeys(row["task"] for row in tables["scores"]):
        own = {name: [r for r in rows if r["task"] == task] for name, rows in tables.items()}
        metric, _ = task_metrics({row["metric"] for row in own["scores"]})
        models = len({row["model"] for row in own["scores"]} - set(BASELINES))
        parts = {
            f"Scores ({METRICS[metric]})": score_findings(
                own["scores"], metric, own["differences"], resamples
            ),
            "Calibration": calibration_findings(own["evaluation"]),
            "What layers encode": probe_findings(own["probes"], metric, confidence),
            "How representations change": similarity_findings(own["similarity"], confidence),
            "Inner measures and the score": association_findings(
                own["association"], metric, confidence, models
            ),
        }
        if any(row["measure"] == "f1_gap" for row in own["evaluation"]):
            parts["Seen and unseen entities"] = novelty_findings(own["evaluation"])
        lines += ["", f"## {task}"]
        for title, findings in parts.items():
            lines += ["", f"### {title}", ""]
            lines += [f"- {text}" for text in findings] or ["- Nothing that an interval supports."]
    return "\n".join(lines) + "\n"
