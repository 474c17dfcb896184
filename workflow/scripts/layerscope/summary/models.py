"""Findings on kinds of models: against baselines, encoders and decoders, general and biomedical."""

from __future__ import annotations

from itertools import product

import pandas as pd

from layerscope.core.measures import BASELINES
from layerscope.summary.differences import Comparisons, comparisons, sentences, sorted_out
from layerscope.summary.intervals import Interval, number
from layerscope.summary.scores import scores_by_model

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
    """General against biomedical models of each architecture; as in `baseline_findings`."""
    _, scores = scores_by_model(rows, metric)
    about = {row.model: (row.architecture, row.domain) for row in rows.itertuples()}
    between, _ = comparisons(differences)
    found = []
    for architecture in dict.fromkeys(kind for kind, _ in about.values()):
        general, biomedical = (
            [name for name in scores if about[name] == (architecture, domain)]
            for domain in ("general", "biomedical")
        )
        found += [_domains(between, scores, *pair) for pair in product(biomedical, general)]
    if not found:
        return ["General and biomedical models are not compared: no architecture has both."]
    pairs = "One pair does" if len(found) == 1 else f"{len(found)} pairs do"
    return [
        *found,
        f"{pairs} not show what biomedical pre-training does: such models may also differ in size, "
        "tokenizer and length of training.",
    ]


def _domains(
    between: Comparisons, scores: dict[str, Interval], biomedical: str, general: str
) -> str:
    """A biomedical model against a general one."""
    pair = between.get((biomedical, general))
    names = f"the biomedical {biomedical}, {scores[biomedical]}, and the general {general}, "
    names += f"{scores[general]}"
    if pair is None:
        return f"Not tested: {names}."
    if not pair.significant:
        return f"No significant difference between {names}."
    by = pair.change if pair.above else pair.change.turned()
    place = "above" if pair.above else "below"
    return f"The biomedical {biomedical} scores {by} {place} the general {general}."
