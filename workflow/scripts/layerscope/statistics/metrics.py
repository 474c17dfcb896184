"""Scores of every kind of task, as statistics of summed counts.

Every count array is rows x 3K: true positives of K classes, then false positives, then false
negatives. A row is an example, or a word (NER). Counts of any set of examples are sums of
rows, so a bootstrap over examples or groups is one matrix product, and every statistic here takes
summed counts with any leading dimensions. Probes and fine-tuned models are scored by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

OUTSIDE = "O"


def encode(values: Sequence[str], names: Sequence[str]) -> Codes:
    """Index of each value in `names`.

    Raises:
        UserError: a value is none of `names`.
    """
    index = {name: code for code, name in enumerate(names)}
    try:
        return np.fromiter((index[value] for value in values), np.int64, len(values))
    except KeyError as error:
        raise UserError(f"label {error}; allowed: {', '.join(names)}") from None


def entity_type(tag: str) -> str:
    """`B-DNA` and `I-DNA` to `DNA`; `O` stays."""
    return tag if tag == OUTSIDE else tag[2:]


def entity_types(names: Sequence[str]) -> list[str]:
    """Types of entity among tag names, each once, in order of first appearance."""
    return list(dict.fromkeys(entity_type(name) for name in names if name != OUTSIDE))


def _class_counts(true: Codes, predicted: Codes, classes: int) -> Floats:
    """Counts of codes; a code outside 0 to classes - 1 is of no class."""
    is_true = true[:, None] == np.arange(classes)
    is_predicted = predicted[:, None] == np.arange(classes)
    parts = (is_true & is_predicted, ~is_true & is_predicted, is_true & ~is_predicted)
    return np.hstack(parts).astype(float)


def example_counts(labels: Sequence[str], predicted: Sequence[str], names: Sequence[str]) -> Floats:
    """Counts of each example and class: examples x 3K.

    Raises:
        UserError: a label that is none of `names`.
    """
    return _class_counts(encode(labels, names), encode(predicted, names), len(names))


def token_counts(labels: Sequence[str], predicted: Sequence[str], names: Sequence[str]) -> Floats:
    """Counts of each word and tag: words x 3K, where K leaves out the tag `O`.

    Always answering O thus scores nothing.

    Raises:
        UserError: a tag that is none of `names`.
    """
    kept = [name for name in names if name != OUTSIDE]
    order = [*kept, OUTSIDE]
    return _class_counts(encode(labels, order), encode(predicted, order), len(kept))


def _spans(
    tags: Sequence[str], first: npt.NDArray[np.bool_], types: Sequence[str]
) -> tuple[Codes, Codes]:
    """Type and last word of the entity that starts at each word; -1 where none does."""
    distinct, inverse = np.unique(np.asarray(tags, dtype=np.str_), return_inverse=True)
    known = [OUTSIDE, *types]
    type_of = encode([entity_type(str(tag)) for tag in distinct], known)[inverse] - 1
    begins = np.asarray([tag.startswith("B-") for tag in distinct], dtype=bool)[inverse]
    before = np.concatenate([[-1], type_of[:-1]])
    before[first] = -1
    starts = (type_of >= 0) & (begins | (type_of != before))
    # An entity lasts until the next start or O; in a new sentence the first word is one of both.
    breaks = np.append(np.flatnonzero(starts | (type_of < 0)), len(tags))
    rows = np.flatnonzero(starts)
    last = np.full(len(tags), -1)
    last[rows] = breaks[np.searchsorted(breaks, rows, side="right")] - 1
    return np.where(starts, type_of, -1), last


def entity_counts(
    labels: Sequence[str],
    predicted: Sequence[str],
    examples: Sequence[str],
    types: Sequence[str],
) -> Floats:
    """Counts of whole entities: words x 3K for K types, each entity counted at its first word.

    An entity is right if type, first and last word are. An `I-` that follows no entity of its
    type in the same sentence opens one, as in conlleval and in seqeval's default mode.

    Args:
        labels: IOB2 tags of consecutive words.
        predicted: tags of the same words, which need not be well formed.
        examples: the sentence of each word; words of a sentence are consecutive.
        types: types of entity (`entity_types` of the tag names).

    Raises:
        UserError: a tag of another type.
    """
    if not len(labels):
        return np.zeros((0, 3 * len(types)))
    sentence = np.asarray(examples, dtype=np.str_)
    first = np.concatenate([[True], sentence[1:] != sentence[:-1]])
    true_type, true_last = _spans(labels, first, types)
    type_, last = _spans(predicted, first, types)
    right = (true_type == type_) & (true_last == last)
    classes = np.arange(len(types))
    is_true, is_predicted = true_type[:, None] == classes, type_[:, None] == classes
    hit = right[:, None]
    parts = (is_true & hit, is_predicted & ~hit, is_true & ~hit)
    return np.hstack(parts).astype(float)


def _parts(counts: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    hit, wrong, missed = np.split(np.asarray(counts, dtype=float), 3, axis=-1)
    return hit, wrong, missed


def _ratio(numerator: Floats, denominator: Floats, empty: float) -> Floats:
    result = np.full(np.shape(denominator), empty)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)


def accuracy_of(counts: npt.ArrayLike) -> Floats:
    """Share of examples of any class that got their own: summed counts (... x 3K) to (...)."""
    hit, _, missed = (part.sum(axis=-1) for part in _parts(counts))
    return _ratio(hit, hit + missed, 0.0)


def f1_of(counts: npt.ArrayLike) -> Floats:
    """F1 of all classes pooled (micro): summed counts (... x 3K) to (...); 0 without any."""
    hit, wrong, missed = (part.sum(axis=-1) for part in _parts(counts))
    return _ratio(2 * hit, 2 * hit + wrong + missed, 0.0)


def macro_f1_of(counts: npt.ArrayLike) -> Floats:
    """Mean F1 of the classes: summed counts (... x 3K) to (...); 0 without any.

    A class that is neither in the labels nor in the predictions has no F1 and is left out of the
    mean, as scikit-learn's `f1_score(average="macro")` does.
    """
    hit, wrong, missed = _parts(counts)
    total = 2 * hit + wrong + missed
    present = (total > 0).sum(axis=-1)
    return _ratio(_ratio(2 * hit, total, 0.0).sum(axis=-1), present.astype(float), 0.0)


#: A metric: its counts and the statistic of their sums.
Metric = tuple[Floats, Any]


def example_metrics(
    labels: Sequence[str], predicted: Sequence[str], names: Sequence[str]
) -> dict[str, Metric]:
    """`accuracy` and `macro_f1`, each as its counts and the statistic of their sums."""
    counts = example_counts(labels, predicted, names)
    return {"accuracy": (counts, accuracy_of), "macro_f1": (counts, macro_f1_of)}


def ner_metrics(
    labels: Sequence[str],
    predicted: Sequence[str],
    examples: Sequence[str],
    names: Sequence[str],
) -> dict[str, Metric]:
    """`entity_f1` and `token_macro_f1`, each as its counts and the statistic of their sums."""
    entities = entity_counts(labels, predicted, examples, entity_types(names))
    return {
        "entity_f1": (entities, f1_of),
        "token_macro_f1": (token_counts(labels, predicted, names), macro_f1_of),
    }


def metrics_of(
    kind: str,
    labels: Sequence[str],
    predicted: Sequence[str],
    examples: Sequence[str],
    names: Sequence[str],
) -> dict[str, Metric]:
    """The metrics of a kind of task; `examples` are those of the words, where it labels words."""
    if labels_examples(kind):
        return example_metrics(labels, predicted, names)
    return ner_metrics(labels, predicted, examples, names)


def values(metrics: dict[str, Metric]) -> dict[str, float]:
    """The value of each metric over all rows."""
    return {name: float(of(counts.sum(axis=0))) for name, (counts, of) in metrics.items()}
