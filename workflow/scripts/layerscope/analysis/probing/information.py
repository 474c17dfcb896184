"""Usable information: what predictors of a family can tell of labels from a layer's vectors.

V-information (Xu et al. 2020, "A Theory of Usable Information under Computational Constraints") of
a family V is H_V(Y) - H_V(Y|X): by how many bits the log loss of labels falls if V's best predictor
is given vectors and not nothing. Predictors are learned from training rows and scored on test
rows; H_V(Y) is the log loss of the labels' frequencies. The same difference of one row is its
pointwise information (Ethayarajh et al. 2022, "Understanding Dataset Difficulty with V-Usable
Information"), whose mean is that of the layer. Hewitt et al. (2021, "Conditional probing") use it
for probes.

Families are `linear`, the linear probe, and `mlp`, perceptrons with one hidden layer. The
regularisation of both is chosen within the training rows. The control is what the same predictors
find in labels that are permuted among the training rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing.draws import draw_weights
from layerscope.analysis.probing.features import Vectors, standardise
from layerscope.analysis.probing.files import Codes, Keys, read_labels, shared_metadata
from layerscope.analysis.probing.linear import fit_linear, mixed
from layerscope.analysis.probing.mlp import frequencies, mlp_shares
from layerscope.config.probes import LinearProbe
from layerscope.core.formats import read_layer, stored_layers
from layerscope.core.formats.pointwise import Pointwise
from layerscope.data.iob import merge, merged_labels
from layerscope.statistics import metrics

Bits = npt.NDArray[np.float32]
Row = dict[str, Any]

FAMILIES = ("linear", "mlp")
#: Bootstrap samples of the training rows, whose spread is part of intervals: as of linear probes.
DRAWS = 5
#: Seed of the permutation of labels.
PERMUTED = 0

log = logging.getLogger(__name__)


class Informed(NamedTuple):
    """What a family of predictors can tell of the labels of test rows from a layer's vectors.

    Attributes:
        pointwise: bits of each test row, float32.
        permuted: mean bits if the labels of the training rows are permuted.
        draws: mean bits if learned from each draw of the training rows.
    """

    pointwise: Bits
    permuted: float
    draws: list[float]


class Labelled(NamedTuple):
    """Labels of a task's training and test rows, as codes of its names."""

    names: list[str]
    labels: Codes
    keys: Keys
    truth: Codes
    test_keys: Keys


def read_rows(train: str | Path, test: str | Path, merge_tags: bool = False) -> Labelled:
    """Labels of two files of activations, and the keys of their rows.

    Args:
        train, test: files of the same model and view.
        merge_tags: NER alone: whether types of entity take the place of IOB2 tags.

    Raises:
        UserError: the files do not go together, or one has no rows.
    """
    tags = shared_metadata(train, test)["labels"]
    (keys, labels), (test_keys, truth) = (read_labels(path, tags) for path in (train, test))
    if not merge_tags:
        return Labelled(list(tags), labels, keys, truth, test_keys)
    names = merged_labels(tags)
    merged = metrics.encode(merge(tags), names)
    return Labelled(names, merged[labels], keys, merged[truth], test_keys)


def pointwise(shares: npt.ArrayLike, frequent: npt.ArrayLike, truth: Codes) -> Bits:
    """Bits by which each label is less surprising with vectors than without.

    Args:
        shares: probabilities of classes given vectors, rows x classes.
        frequent: the same without vectors, by class.
        truth: class of each row.

    Returns:
        log2 p(y|x) - log2 p(y) of each row, float32.
    """
    given = np.asarray(shares)[np.arange(len(truth)), truth]
    return (np.log2(given) - np.log2(np.asarray(frequent)[truth])).astype(np.float32)


def informed(
    train: Vectors,
    labels: Codes,
    groups: Sequence[str],
    test: Vectors,
    truth: Codes,
    classes: int,
    draws: int = DRAWS,
) -> dict[str, Informed]:
    """Usable information of one layer by family.

    Args:
        train, test: rows x width, float32, unscaled.
        labels: class of each training row.
        groups: of each training row; those of a group are held out and drawn together.
        truth: class of each test row.
        classes: number of all classes, at least 2.
        draws: bootstrap samples of the groups of training rows.
    """
    scaled, others = standardise(train, test)
    permuted = np.random.default_rng(PERMUTED).permutation(labels)
    settings = LinearProbe(kind="linear")
    sets, iterations = [labels, permuted], settings.max_iterations
    lines = fit_linear(scaled, sets, settings.inverse_regularisation, iterations, groups, draws)
    # Permuting and no vectors: labels are as frequent. A draw has frequencies of its own.
    frequent = [frequencies(labels, classes)] * 2
    frequent += [frequencies(labels, classes, drawn) for drawn in draw_weights(groups, draws)]
    shares = {
        "linear": (line.shares(others, classes) for line in lines),
        "mlp": mlp_shares(scaled, sets, others, classes, groups, draws),
    }
    return {family: told(found, frequent, truth, len(labels)) for family, found in shares.items()}


def told(
    shares: Iterator[npt.NDArray[np.float64]],
    frequent: Sequence[npt.NDArray[np.float64]],
    truth: Codes,
    rows: int,
) -> Informed:
    """From probabilities of true and permuted labels, then of draws."""
    bits = [
        pointwise(mixed(found, rows), known, truth)
        for found, known in zip(shares, frequent, strict=True)
    ]
    own, *further = bits
    control, *drawn = (float(each.mean(dtype=np.float64)) for each in further)
    return Informed(own, control, drawn)


class View(NamedTuple):
    """Usable information of all layers of a view.

    Attributes:
        rows: of kind `usable_information`.
        blocks: bits of the test rows by family.
    """

    rows: list[Row]
    blocks: list[Pointwise]


def of_view(train: str | Path, test: str | Path, view: str, merge_tags: bool = False) -> View:
    """Usable information of every stored layer; one layer's vectors are in memory at a time.

    Args:
        train, test: activations of a view, to learn from and to test on.
        view: its name.
        merge_tags: NER alone: whether types of entity take the place of IOB2 tags.

    Raises:
        UserError: the files do not go together, or one has no rows.
    """
    known = read_rows(train, test, merge_tags)
    groups, classes = known.keys["group_id"], len(known.names)
    rows: list[Row] = []
    bits: dict[str, list[Bits]] = {family: [] for family in FAMILIES}
    for layer in stored_layers(shared_metadata(train, test)):
        vectors = read_layer(train, layer), read_layer(test, layer)
        found = informed(vectors[0], known.labels, groups, vectors[1], known.truth, classes)
        for family, each in found.items():
            value = float(each.pointwise.mean(dtype=np.float64))
            log.info("view %s, layer %d, %s: %.3f bits", view, layer, family, value)
            rows += _rows({"view": view, "family": family, "layer": layer}, value, each)
            bits[family].append(each.pointwise)
    frequent = -np.log2(frequencies(known.labels, classes))
    keys: dict[str, Any] = {
        name: known.test_keys[name] for name in ("example_id", "group_id", "word_index")
    }
    keys |= {"label": [known.names[code] for code in known.truth]}
    keys |= {"label_bits": frequent[known.truth].astype(np.float32)}
    blocks = [
        Pointwise((view, family), keys, np.stack(layers, axis=1)) for family, layers in bits.items()
    ]
    return View(rows, blocks)


def _rows(keys: Row, value: float, found: Informed) -> Iterator[Row]:
    """Of all training rows, of draws of them, and of permuted labels."""
    for draw, mean in enumerate([value, *found.draws]):
        yield keys | {"labels": "true", "draw": draw, "value": mean}
    yield keys | {"labels": "permuted", "draw": 0, "value": found.permuted}
