"""A study's findings in sentences, made from its tables by rules.

A finding is stated only where an interval supports it, and what is not told apart is said to be so:

- Two scores differ where their intervals (over examples and seeds) do not overlap. That is stricter
  than a test of the difference.
- What has one value a seed (probes, similarity, how far heads move) has Student's interval of the
  mean over seeds. With two seeds only large effects pass it.
- A head differs from before by more than two seeds do where its interval over examples lies above
  theirs in every seed.
- An association is stated where the interval of its bootstrap over models excludes 0. They are not
  corrected for their number, which is why the number that chance alone would give is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t

from layerscope.measures import BASELINES, task_metrics
from layerscope.variants import PRETRAINED
from layerscope.views import COMBINED, SEPARATE, encoding, is_half, of_main_views, part_of

Row = Mapping[str, Any]
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


def score_findings(rows: Sequence[Row], metric: str) -> list[str]:
    """Which model is best, what more data gives, and general against biomedical models.

    Args:
        rows: one task's rows of the table of scores.
        metric: of the task.
    """
    scores = _scores(rows, metric)
    if not scores:
        return []
    least, most = min(scores), max(scores)
    largest = scores[most]
    models = [name for name in largest if name not in BASELINES]
    best = max(models, key=lambda name: largest[name].value)
    others = sorted((n for n in largest if n != best), key=lambda n: -largest[n].value)
    below = [name for name in others if above(largest[best], largest[name])]
    near = [f"{name}, {largest[name]}" for name in others if name not in below]
    text = (
        f"**{best}** scores highest of the models after fine-tuning on {most} %: {largest[best]}."
    )
    text += f" Below it: {_list(below)}." if below else ""
    text += f" Not told apart from it: {_list(near)}." if near else ""
    found = [text]
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
                if above(a, b) or above(b, a):
                    verb = "above" if above(a, b) else "below"
                    found.append(
                        f"The biomedical {special} is {verb} the general {general}: {a}, {b}."
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
    for row in of_main_views(rows):
        if row["metric"] == metric and row["value"] is not None and not is_half(row["view"]):
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


def input_findings(
    rows: Sequence[Row], decoders: Collection[str], metric: str, confidence: float
) -> list[str]:
    """Whether other ways to sum up the same states serve decoders better, at the best layer.

    After fine-tuning on the largest share, seed by seed: the last sub-word against the mean, and
    the linear probe's comparison of the halves against the halves alone.

    Args:
        rows: one task's rows of the table of probes.
        decoders: names of the models that are decoders.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = [row for row in rows if row["model"] in decoders and row["percent"] > 0]
    most = max((row["percent"] for row in rows), default=0)
    best: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        if (row["metric"], row["percent"]) == (metric, most) and row["value"] is not None:
            by_seed = best.setdefault((row["probe"], row["view"], row["model"]), {})
            by_seed[row["seed"]] = max(row["value"], by_seed.get(row["seed"], -np.inf))
    found = []
    for probe, view in dict.fromkeys((probe, view) for probe, view, _ in best):
        plain = part_of(SEPARATE, view) if encoding(view) == COMBINED else encoding(view)
        compared: list[tuple[str, Interval]] = []
        for model in dict.fromkeys(model for _, _, model in best):
            ours = best.get((probe, view, model), {})
            theirs = best.get((probe, plain, model), {})
            seeds = sorted(ours.keys() & theirs.keys())
            if view != plain and len(seeds) >= LEAST_SEEDS:
                changes = [ours[seed] - theirs[seed] for seed in seeds]
                compared.append((model, over_seeds(changes, confidence)))
        told = [f"{model} by {change}" for model, change in compared if supported(change)]
        silent = [model for model, change in compared if not supported(change)]
        named = f"the {probe} probe ({view}) and that on {plain}, after fine-tuning on {most} %"
        if told:
            found.append(f"The best layers of {named}, differ: {_list(told)}.")
        if silent:
            found.append(f"The best layers of {named}, are not told apart: {_list(silent)}.")
    return found


def similarity_findings(rows: Sequence[Row], confidence: float) -> list[str]:
    """Where representations move: the last layer against the first block, by CKA.

    Args:
        rows: one task's rows of the table of similarity.
        confidence: of intervals over seeds.
    """
    rows = of_main_views(rows)
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


def head_findings(rows: Sequence[Row], confidence: float) -> list[str]:
    """How many heads move by more than two seeds differ, and whose heads move most.

    Args:
        rows: one task's rows of the table of heads; the largest share counts.
        confidence: of intervals over seeds.
    """
    if not rows:
        return []
    most = max(row["percent"] for row in rows)
    known = [
        row
        for row in rows
        if row["percent"] == most and None not in (row["jsd_low"], row["ceiling_high"])
    ]
    if not known:
        return ["Nothing is said of heads with one seed: how far two seeds differ is not known."]
    counts, means = [], {}
    for model in dict.fromkeys(row["model"] for row in known):
        own = [row for row in known if row["model"] == model]
        heads = len({(row["layer"], row["head"]) for row in own})
        seeds, null = (_heads_above(own, end) for end in ("ceiling_high", "null"))
        further = f", {null} of them by more than heads of a layer differ" if null else ""
        counts.append(f"{model} {seeds} of {heads}{further}")
        by_seed: dict[int, list[float]] = {}
        for row in own:
            if row["moved"] is not None:
                by_seed.setdefault(row["seed"], []).append(row["moved"])
        if by_seed:
            averages = [float(np.mean(values)) for values in by_seed.values()]
            means[model] = over_seeds(averages, confidence)
    found = [
        f"Attention heads that fine-tuning on {most} % changes by more than two seeds differ, in "
        f"every seed: {_list(counts)}."
    ]
    order = sorted(means, key=lambda name: -means[name].value)
    less = [f"{name}, {means[name]}" for name in order if above(means[order[0]], means[name])]
    if less:
        found.append(
            f"On the scale from two seeds (0) to another head (1) the heads of {order[0]} move "
            f"most, on average {means[order[0]]}. Less: {_list(less)}."
        )
    elif len(order) > 1:
        found.append("Whose heads move most on average is not told apart.")
    return found


def _heads_above(rows: Sequence[Row], end: str) -> int:
    """Heads of a model whose divergence, with its interval, is above a column in every seed."""
    places: dict[tuple[int, int], list[bool]] = {}
    for row in rows:
        beyond = row["jsd_low"] > row["ceiling_high"]
        beyond &= row[end] is not None and row["jsd_low"] > row[end]
        places.setdefault((row["layer"], row["head"]), []).append(beyond)
    return sum(map(all, places.values()))


def intervention_findings(rows: Sequence[Row], metric: str, confidence: float) -> list[str]:
    """What masking the most changed heads, and erasing the label, costs above its control.

    Of the shares of heads the one nearest to a quarter is looked at, and of the layers the mean, so
    that nothing is picked by its outcome.

    Args:
        rows: one task's rows of the table of interventions.
        metric: of the task.
        confidence: of intervals over seeds.
    """
    rows = [row for row in rows if row["metric"] == metric]
    if not rows:
        return []
    if len({row["seed"] for row in rows}) < LEAST_SEEDS:
        return [
            f"Nothing is said of interventions with fewer than {LEAST_SEEDS} seeds: see the "
            "figures."
        ]
    share = min((r["share"] for r in rows if r["share"]), key=lambda share: abs(share - 25))
    compared = {
        ("heads-most", "heads-least"): f"masking the most changed {share} % of heads costs {{}} "
        "more score than masking the least changed",
        ("heads-most", "heads-random"): f"masking the most changed {share} % of heads costs {{}} "
        "more score than masking as many random ones",
        ("erased", "erased-control"): "erasing the label after a layer costs {} more score, on "
        "average over layers, than erasing permuted labels",
    }
    found = []
    for (name, control), words in compared.items():
        for model in dict.fromkeys(row["model"] for row in rows):
            costs: dict[str, dict[int, list[float]]] = {name: {}, control: {}}
            for row in rows:
                looked_at = row["model"] == model and row["share"] in (None, share)
                if looked_at and row["intervention"] in costs:
                    by_seed = costs[row["intervention"]]
                    by_seed.setdefault(row["seed"], []).append(-row["change"])
            more = [
                float(np.mean(values) - np.mean(costs[control][seed]))
                for seed, values in costs[name].items()
            ]
            difference = over_seeds(more, confidence)
            if supported(difference):
                found.append(f"In {model} {words.format(difference)}.")
    return found


def association_findings(rows: Sequence[Row], metric: str, confidence: float) -> list[str]:
    """Which inner measures go with the score.

    Args:
        rows: one task's rows of the table of associations.
        metric: of the task.
        confidence: of their intervals.
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
    if not told:
        return [text + "."]
    named = [
        f"{row['inner measure']}, {Interval(row['value'], row['low'], row['high'])}"
        for row in told[:NAMED]
    ]
    return [f"{text}; the strongest, by Spearman: {'; '.join(named)}."]


def _list(items: Iterable[str]) -> str:
    items = list(items)
    return items[0] if len(items) == 1 else f"{'; '.join(items[:-1])}; and {items[-1]}"


def summarise(study: str, tables: Mapping[str, Sequence[Row]], confidence: float) -> str:
    """The summary in Markdown.

    Args:
        study: its name.
        tables: rows of `scores`, `probes`, `similarity`, `heads` and `association`, and of
            `interventions` if there are any.
        confidence: of intervals.
    """
    lines = [
        f"# Study {study}: what its tables support",
        "",
        f"Made from `tables/` by rules; intervals cover {100 * confidence:g} %. Two scores are "
        "said to differ where their intervals over examples and seeds do not overlap. What has "
        "one value a seed has Student's interval over seeds, which with few seeds only large "
        "effects pass. Associations are over fine-tuned variants, resampled by model; few models "
        "make them uncertain, and they are not corrected for their number.",
    ]
    for task in dict.fromkeys(row["task"] for row in tables["scores"]):
        own = {name: [r for r in rows if r["task"] == task] for name, rows in tables.items()}
        metric, _ = task_metrics({row["metric"] for row in own["scores"]})
        decoders = {row["model"] for row in own["scores"] if row["architecture"] == "decoder"}
        parts = {
            f"Scores ({METRICS[metric]})": score_findings(own["scores"], metric),
            "What layers encode": probe_findings(own["probes"], metric, confidence),
            "Pooling and features of decoders": input_findings(
                own["probes"], decoders, metric, confidence
            ),
            "How representations change": similarity_findings(own["similarity"], confidence),
            "Attention heads": head_findings(own["heads"], confidence),
            "What the score depends on": intervention_findings(
                own.get("interventions", []), metric, confidence
            ),
            "Inner measures and the score": association_findings(
                own["association"], metric, confidence
            ),
        }
        if "interventions" not in tables:
            del parts["What the score depends on"]
        lines += ["", f"## {task}"]
        for title, findings in parts.items():
            lines += ["", f"### {title}", ""]
            lines += [f"- {text}" for text in findings] or ["- Nothing that an interval supports."]
    return "\n".join(lines) + "\n"
