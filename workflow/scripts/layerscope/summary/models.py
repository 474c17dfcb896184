"""Findings on kinds of models: against baselines, encoders and decoders, and between domains."""

from __future__ import annotations

from itertools import combinations, product

import pandas as pd

from layerscope.core.measures import BASELINES
from layerscope.summary.differences import Comparisons, comparisons, sentences, sorted_out
from layerscope.summary.intervals import Interval, listed, number
from layerscope.summary.scores import scores_by_model

#: Pairs of models that do not differ, at most, of which each has a sentence of its own.
MOST_ALIKE = 4
#: Baselines in a sentence.
_NAMES = {
    "majority": "Always answering the most frequent label",
    "bag-of-words": "The bag of words",
    "premise-only": "The bag of words of the premise alone",
    "hypothesis-only": "The bag of words of the hypothesis alone",
}


def baseline_findings(
    rows: pd.DataFrame, metric: str, differences: pd.DataFrame | None
) -> list[str]:
    """Each model against each baseline.

    Args:
        rows: one task's rows of the table of scores.
        metric: of the task.
        differences: the task's rows of the table of differences; None if no tests are made.
    """
    _, scores = scores_by_model(rows, metric)
    models = [name for name in scores if name not in BASELINES]
    between, _ = comparisons(differences)
    found = []
    for baseline in (name for name in BASELINES if name in scores):
        above, below, neither = sorted_out(between, models, baseline)
        tested = above or below or neither
        text = f"{_NAMES[baseline]} scores {scores[baseline].value:.3f}."
        text += " No model is significantly above it." if tested and not above else ""
        rest = sentences(
            ("Significantly above it", above),
            ("Significantly below it", below),
            ("No significant difference from it", neither),
            ("Not tested against it", [n for n in models if (n, baseline) not in between]),
        )
        found.append(f"{text} {rest}".rstrip())
    return found


def architecture_findings(
    rows: pd.DataFrame, metric: str, differences: pd.DataFrame | None
) -> list[str]:
    """Encoders against decoders; arguments as in `baseline_findings`."""
    _, scores = scores_by_model(rows, metric)
    of = dict(zip(rows["model"], rows["architecture"], strict=True))
    encoders, decoders = (
        [name for name in scores if of[name] == kind] for kind in ("encoder", "decoder")
    )
    if not (encoders and decoders):
        return ["Encoders and decoders are not compared: the study has one kind alone."]
    between, _ = comparisons(differences)
    pairs = [between[pair] for pair in product(encoders, decoders) if pair in between]
    if not pairs:
        return ["Encoders and decoders are not compared: their differences are not tested."]
    higher, lower = sum(pair.above for pair in pairs), sum(pair.below for pair in pairs)
    text = (
        f"Of {number(len(pairs), 'pair')} of an encoder and a decoder, the encoder scores "
        f"significantly higher in {higher} and the decoder in {lower}"
    )
    rest = len(pairs) - higher - lower
    shows = "shows" if rest == 1 else "show"
    text += f"; {rest} {shows} no significant difference." if rest else "."
    counts = f"{number(len(encoders), 'encoder')} and {number(len(decoders), 'decoder')}"
    return [
        f"{text} With {counts} this does not show what the architecture does: they may also differ "
        "in size, tokenizer and pre-training data."
    ]


def domain_findings(rows: pd.DataFrame, metric: str, differences: pd.DataFrame | None) -> list[str]:
    """Models of each two domains and one architecture; arguments as in `baseline_findings`."""
    _, scores = scores_by_model(rows, metric)
    about = {row.model: (row.architecture, row.domain) for row in rows.itertuples()}
    between, _ = comparisons(differences)
    models = [name for name in scores if name not in BASELINES]
    domains = sorted({about[name][1] for name in models})
    domains.sort(key=lambda domain: domain == "general")  # what others are compared with
    if len(domains) == 1:
        return [f"Domains are not compared: all models are {domains[0]}."]
    found: list[str] = []
    count = 0
    for architecture in dict.fromkeys(about[name][0] for name in models):
        for pair in combinations(domains, 2):
            left, right = (
                [(domain, name) for name in models if about[name] == (architecture, domain)]
                for domain in pair
            )
            pairs = list(product(left, right))
            count += len(pairs)
            found += _pairs_of_domains(between, scores, pairs, architecture)
    if not count:
        names = listed(domains[::-1]).capitalize()
        some = "both" if len(domains) == 2 else "two of these"
        return [f"{names} models are not compared: no architecture has {some}."]
    many = "One pair does" if count == 1 else f"{count} pairs do"
    text = f"{domains[0]} pre-training" if domains[1:] == ["general"] else "a domain's text"
    return [
        *found,
        f"{many} not show what {text} does: such models may also differ in size, "
        "tokenizer and length of training.",
    ]


def _pairs_of_domains(
    between: Comparisons,
    scores: dict[str, Interval],
    pairs: list[tuple[tuple[str, str], tuple[str, str]]],
    architecture: str,
) -> list[str]:
    """A sentence a pair; one for all that do not differ, where they are many."""
    alike = [
        (one, other)
        for one, other in pairs
        if (one[1], other[1]) in between and not between[one[1], other[1]].significant
    ]
    if len(alike) <= MOST_ALIKE:
        return [_domains(between, scores, *pair) for pair in pairs]
    ((left, _), (right, _)) = pairs[0]
    return [
        *(_domains(between, scores, *pair) for pair in pairs if pair not in alike),
        f"No significant difference in {len(alike)} of {len(pairs)} pairs of a {left} and a "
        f"{right} {architecture}.",
    ]


def _domains(
    between: Comparisons, scores: dict[str, Interval], one: tuple[str, str], other: tuple[str, str]
) -> str:
    """A model of one domain against one of another; each as domain and name."""
    pair = between.get((one[1], other[1]))
    left, right = " ".join(one), " ".join(other)
    names = f"the {left}, {scores[one[1]]}, and the {right}, {scores[other[1]]}"
    if pair is None:
        return f"Not tested: {names}."
    if not pair.significant:
        return f"No significant difference between {names}."
    by = pair.change if pair.above else pair.change.turned()
    place = "above" if pair.above else "below"
    return f"The {left} scores {by} {place} the {right}."
