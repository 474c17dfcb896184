"""The head lens of one model: translators fitted, test rows answered, answers scored."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch

from layerscope.analysis.head_lens.passes import (
    LENSES,
    SHUFFLED,
    TUNED,
    Answers,
    Codes,
    Lensed,
    Vectors,
    answers_of,
    layer_vectors,
    require_last_layer,
)
from layerscope.analysis.head_lens.translators import (
    FOLDS,
    Translator,
    fit_translators,
    folds_of,
    scale_of,
)
from layerscope.analysis.interventions.erasure import read_inputs
from layerscope.config.extraction import Activations
from layerscope.core.kinds import labels_examples
from layerscope.data.iob import unmerge
from layerscope.data.labels import TaskLabels
from layerscope.data.rng import seeded
from layerscope.data.sampling import probe_sample
from layerscope.models.loaded import LoadedModel
from layerscope.statistics import metrics

#: Examples or words at most that translators learn from, so that memory stays as data grow.
MOST_ROWS = 10_000

Row = dict[str, Any]

log = logging.getLogger(__name__)


def learned_rows(reference: pa.Table, task: TaskLabels, seed: int) -> pa.Table:
    """At most `MOST_ROWS` examples, or sentences of as many words, in their order.

    Raises:
        UserError: the first group or sentence that is drawn has more.
    """
    ids = probe_sample(task.kind, reference.to_pylist(), MOST_ROWS, seed, "rows of the head lens")
    return reference.filter(pc.is_in(reference["example_id"], pa.array(ids, pa.string())))


def by_row(table: pa.Table, column: str, task: TaskLabels) -> list[str]:
    """A column of a prepared table for each of its rows: examples, or words (ner)."""
    values = table[column].to_pylist()
    if labels_examples(task.kind):
        return values
    counts = [len(tokens) for tokens in table["tokens"].to_pylist()]
    return [value for value, count in zip(values, counts, strict=True) for _ in range(count)]


def translators_of(
    vectors: Vectors, groups: Sequence[str], name: str, seed: int, device: torch.device
) -> dict[str, list[Translator]]:
    """Translators of every layer: to the last layer's states, and to those of other rows.

    The first are the identity and a map that predicts the difference, so that the penalty shrinks
    them towards what the plain lens sees. The second have no identity: it would leave in what the
    plain lens sees, and they are to know no more than how states are distributed. All states are
    in units of the last layer's standard deviation, coordinate by coordinate, so that the few with
    very large values neither set the penalty nor choose it.

    Args:
        vectors: layers x rows x width; the last layer's are what the others are mapped to.
        groups: of each row; folds keep them whole.
        name: of the model and its variant; each has its own order of rows.
        seed: of this order and of the folds.
        device: that they are computed on, and are for.
    """
    folds = folds_of(groups, seed)
    if not folds.any():
        log.warning("rows that maps learn from: fewer than %d groups; no penalty is chosen", FOLDS)
    order = list(range(len(groups)))
    seeded(f"rows of the shuffled lens of {name}", seed).shuffle(order)
    last = torch.from_numpy(vectors[-1]).to(device).double()
    scale = scale_of(last)
    last = last / scale
    found: dict[str, list[Translator]] = {TUNED: [], SHUFFLED: []}
    for layer, own in enumerate(vectors):
        states = torch.from_numpy(own).to(device).double() / scale
        tuned, shuffled = fit_translators(states, [last - states, last[order]], folds)
        found[TUNED].append(tuned[0].rescaled(scale).beside_identity().float())
        found[SHUFFLED].append(shuffled[0].rescaled(scale).float())
        log.info("layer %d: penalties %g, shuffled %g", layer, tuned[1], shuffled[1])
    return found


def lens(
    loaded: LoadedModel,
    reference: pa.Table,
    test: pa.Table,
    task: TaskLabels,
    name: str,
    seed: int,
    settings: Activations,
) -> list[Row]:
    """Rows of kind "head_lens" of one fine-tuned model.

    Args:
        loaded: fine-tuned, with its head.
        reference: prepared rows that no variant learned from and that are not tested on.
        test: prepared rows that answers are scored on.
        task: its labels.
        name: of the model and its variant, for random draws.
        seed: of the rows learned from, of folds and of shuffled rows.
        settings: limits and precision of passes.

    Raises:
        NotApplicableError: the head cannot be put on the layers.
        UserError: no reference rows, or a label that the task does not have.
    """
    learned = learned_rows(reference, task, seed)
    inputs = read_inputs(loaded, learned, task, settings)
    require_last_layer(loaded, inputs)
    vectors = layer_vectors(loaded, inputs, settings)
    device = next(loaded.model.parameters()).device
    groups = by_row(learned, "group_id", task)
    translators = translators_of(vectors, groups, name, seed, device)
    del vectors
    lensed = Lensed(loaded.model, inputs.tokens, translators)
    asked = read_inputs(loaded, test, task, settings)
    return list(rows_of(answers_of(lensed, loaded, asked, settings), test, task))


def rows_of(answers: Answers, test: pa.Table, task: TaskLabels) -> Iterator[Row]:
    """Rows of kind "head_lens": the model's own scores, then each lens, layer and metric.

    Args:
        answers: to the test rows.
        test: prepared rows.
        task: its labels.
    """
    examples = by_row(test, "example_id", task)
    own, *others = answers.codes
    layers = range(len(others) // len(LENSES))
    yield from own_rows(_named(own, examples, task), test, task)
    places = [(lens, layer) for lens in LENSES for layer in layers]
    for (lens, layer), codes, kl in zip(places, others, answers.kl[1:], strict=True):
        found = _scores(_named(codes, examples, task), examples, test, task)
        found |= {"agreement": float((codes == own).mean()), "kl": float(kl.mean(dtype=float))}
        for metric, value in found.items():
            yield {"lens": lens, "layer": layer, "metric": metric, "value": value}


def own_rows(predicted: Sequence[str], test: pa.Table, task: TaskLabels) -> list[Row]:
    """Rows of the model's own scores.

    Args:
        predicted: label of each example, or tag of each word (ner).
        test: prepared rows.
        task: its labels.
    """
    found = _scores(predicted, by_row(test, "example_id", task), test, task)
    return [
        {"lens": "none", "layer": None, "metric": metric, "value": value}
        for metric, value in found.items()
    ]


def _named(codes: Codes, examples: Sequence[str], task: TaskLabels) -> list[str]:
    """Labels of answers, or IOB2 tags (ner)."""
    names = [task.learned[code] for code in codes]
    return unmerge(names, examples) if task.merged else names


def _scores(
    predicted: Sequence[str], examples: Sequence[str], test: pa.Table, task: TaskLabels
) -> dict[str, float]:
    """Value by metric of answers to test rows, as of fine-tuned models."""
    if labels_examples(task.kind):
        truth = test["label"].to_pylist()
    else:
        truth = [tag for tags in test["tags"].to_pylist() for tag in tags]
    return metrics.values(metrics.metrics_of(task.kind, truth, predicted, examples, task.names))
