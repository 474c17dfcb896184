"""Every layer of cached activations, probed one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from layerscope.analysis.probing import controls
from layerscope.analysis.probing.features import Vectors, combined, standardise
from layerscope.config.base import TaskKind
from layerscope.config.probes import PROBE_TASKS, BilstmCrfProbe, LinearProbe, Probe, SvmProbe
from layerscope.core.encodings import COMBINED, SEPARATE, encoding, part_of
from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_keys, read_layer
from layerscope.data.iob import merge, merged_labels, unmerge
from layerscope.statistics import metrics

Codes = npt.NDArray[np.int64]
Row = dict[str, Any]

log = logging.getLogger(__name__)

#: What the activations that a probe learns from and is tested on must have in common.
SHARED = ("task", "model", "variant", "model_sha256", "view", "layers", "width", "labels")


def shared_metadata(train: str | Path, test: str | Path) -> dict[str, Any]:
    """Metadata that both files have in common.

    Raises:
        UserError: they are not of the same model, view and labels.
    """
    left, right = activation_metadata(train), activation_metadata(test)
    for key in SHARED:
        if left.get(key) != right.get(key):
            raise UserError(
                f"{test}: {key} {right.get(key)!r}; allowed: {left.get(key)!r}, as in {train}"
            )
    return {key: left[key] for key in SHARED}


def _read_labels(path: str | Path, names: Sequence[str]) -> tuple[dict[str, list[Any]], Codes]:
    keys = read_keys(path)
    if not keys["label"]:
        raise UserError(f"{path}: no rows; a probe needs at least one")
    try:
        return keys, metrics.encode(keys["label"], names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def probe_nli(train: str | Path, test: str | Path, probe: LinearProbe | SvmProbe) -> Iterator[Row]:
    """Rows of a probe on vectors of examples, layer by layer.

    The view `separate` is probed whole, and its halves as views `premise` and `hypothesis`; by a
    linear probe also with what compares the halves, as view `combined`.
    """
    described = shared_metadata(train, test)
    names = described["labels"]
    _, labels = _read_labels(train, names)
    _, truth = _read_labels(test, names)
    if isinstance(probe, LinearProbe):
        permuted = controls.permuted_labels(labels, probe.control_seed)
        answers = _by_lines(train, [labels, permuted], test, probe, len(names))
    else:
        answers = _by_svms(train, labels, test, probe)
    for layer, view, found, lengths in answers:
        values = _nli_scores(truth, found[0], names)
        if len(found) > 1:
            values |= _selectivity(values["accuracy"], float(np.mean(found[1] == truth)))
        yield from _rows(view, layer, values | lengths, seed=0)


#: Layer, view, answers once a set of labels, and further measures.
Answers = Iterator[tuple[int, str, list[Codes], dict[str, float]]]


def _by_lines(
    train: str | Path,
    label_sets: Sequence[Codes],
    test: str | Path,
    probe: LinearProbe,
    classes: int,
) -> Answers:
    """Answers to the true labels and to the control's."""
    examples = read_keys(train)["example_id"]
    described = activation_metadata(train)
    for layer in range(described["layers"]):
        parts = _inputs(read_layer(train, layer), described["view"], probe)
        test_parts = _inputs(read_layer(test, layer), described["view"], probe)
        for view, vectors in parts.items():
            scaled, scaled_test = standardise(vectors, test_parts[view])
            answers = _linear(scaled, label_sets, scaled_test, probe)
            lengths = _code_lengths(scaled, label_sets, examples, classes, probe)
            yield layer, view, answers, lengths


def _inputs(vectors: Vectors, view: str, probe: LinearProbe) -> dict[str, Vectors]:
    """What a linear probe reads: a view, its halves, and what compares them."""
    found = controls.halves(vectors, view)
    if probe.combined and encoding(view) == SEPARATE:
        found[part_of(COMBINED, view)] = combined(vectors)
    return found


def _by_svms(train: str | Path, labels: Codes, test: str | Path, probe: SvmProbe) -> Answers:
    """Answers of support vector machines; views of a layer share products of vectors."""
    from layerscope.analysis.probing.svm import make_room, predict_svm

    described, room = activation_metadata(train), None
    for layer in range(described["layers"]):
        parts = controls.halves(read_layer(train, layer), described["view"])
        test_parts = controls.halves(read_layer(test, layer), described["view"])
        separate = list(parts)[1:] or list(parts)
        vectors, others = ([each[view] for view in separate] for each in (parts, test_parts))
        room = room or make_room(len(labels), len(others[0]), len(vectors))
        found = predict_svm(vectors, labels, others, probe.inverse_regularisation, room)
        for view, answers in zip(parts, found, strict=True):
            yield layer, view, [answers], {}


def _nli_scores(truth: Codes, predicted: Codes, names: Sequence[str]) -> dict[str, float]:
    answers = [names[code] for code in predicted]
    return metrics.values(metrics.nli_metrics([names[code] for code in truth], answers, names))


def probe_ner(
    train: str | Path,
    test: str | Path,
    probe: LinearProbe | BilstmCrfProbe,
    merge_tags: bool = False,
) -> Iterator[Row]:
    """Rows of a probe on vectors of words, layer by layer.

    With `merge_tags` the probe learns types of entity in place of IOB2 tags. Its answers are turned
    back before they are scored; accuracy and control are of what it learns.
    """
    described = shared_metadata(train, test)
    tags, view = described["labels"], described["view"]
    keys, labels = _read_labels(train, tags)
    test_keys, truth = _read_labels(test, tags)
    examples, test_examples = keys["example_id"], test_keys["example_id"]
    names = tags
    if merge_tags:
        names = merged_labels(tags)
        merged = metrics.encode(merge(tags), names)
        labels, truth = merged[labels], merged[truth]

    def scores(predicted: Codes) -> dict[str, float]:
        answers = [names[code] for code in predicted]
        if merge_tags:
            answers = unmerge(answers, test_examples)
        parts = metrics.ner_metrics(test_keys["label"], answers, test_examples, tags)
        return metrics.values(parts) | {"accuracy": float(np.mean(predicted == truth))}

    for layer in range(described["layers"]):
        vectors, test_vectors = standardise(read_layer(train, layer), read_layer(test, layer))
        if isinstance(probe, LinearProbe):
            control, control_truth = controls.word_type_labels(
                keys["word"], labels, test_keys["word"], probe.control_seed
            )
            answers, guessed = _linear(vectors, [labels, control], test_vectors, probe)
            values = scores(answers)
            values |= _selectivity(values["accuracy"], float(np.mean(guessed == control_truth)))
            values |= _code_lengths(vectors, [labels, control], examples, len(names), probe)
            yield from _rows(view, layer, values, seed=0)
        else:
            data = (vectors, labels, examples, test_vectors, test_examples)
            for seed in probe.seeds:
                predicted = _bilstm_crf(data, len(names), probe, seed)
                yield from _rows(view, layer, scores(predicted), seed)


def _bilstm_crf(
    data: tuple[Vectors, Codes, Sequence[str], Vectors, Sequence[str]],
    tags: int,
    probe: BilstmCrfProbe,
    seed: int,
) -> Codes:
    from layerscope.analysis.probing.bilstm_crf import predict_bilstm_crf

    return predict_bilstm_crf(
        *data,
        tags=tags,
        hidden=probe.hidden,
        epochs=probe.epochs,
        batch_size=probe.batch_size,
        learning_rate=probe.learning_rate,
        seed=seed,
    )


def _linear(
    train: Vectors, label_sets: Sequence[Codes], test: Vectors, probe: LinearProbe
) -> list[Codes]:
    from layerscope.analysis.probing.linear import predict_linear

    settings = probe.inverse_regularisation, probe.max_iterations
    return predict_linear(train, label_sets, test, *settings)


def _code_lengths(
    vectors: Vectors,
    label_sets: Sequence[Codes],
    examples: Sequence[str],
    classes: int,
    probe: LinearProbe,
) -> dict[str, float]:
    """Bits of the true labels, and compression of those and of the control's.

    Examples come in random order, and the words of one stay together.
    """
    if not probe.code_length:
        return {}
    from layerscope.analysis.probing.codelength import compression, online_code_lengths

    known = {name: place for place, name in enumerate(dict.fromkeys(examples))}
    drawn = np.random.default_rng(probe.control_seed).permutation(len(known))
    order = np.argsort(drawn[[known[name] for name in examples]], kind="stable")
    settings = probe.inverse_regularisation, probe.max_iterations
    bits, control = online_code_lengths(
        vectors[order], [labels[order] for labels in label_sets], classes, *settings
    )
    return {
        "code_length": bits,
        "compression": compression(bits, len(vectors), classes),
        "control_compression": compression(control, len(vectors), classes),
    }


def _selectivity(accuracy: float, control: float) -> dict[str, float]:
    return {"control_accuracy": control, "selectivity": accuracy - control}


def _rows(view: str, layer: int, values: dict[str, float], seed: int) -> Iterator[Row]:
    log.info("view %s, layer %d: %s", view, layer, {k: round(v, 3) for k, v in values.items()})
    for metric, value in values.items():
        yield {
            "view": view,
            "layer": layer,
            "metric": metric,
            "value": value,
            "probe_seed": seed,
        }


def probe_layers(
    train: str | Path, test: str | Path, probe: Probe, kind: TaskKind, merge_tags: bool = False
) -> Iterator[Row]:
    """Probe every layer of one view; one layer's vectors are in memory at a time.

    Args:
        train: activations of training data.
        test: activations of test data, of the same model and view.
        probe: settings of the probe.
        kind: of the task.
        merge_tags: NER alone: whether the probe learns types in place of IOB2 tags.

    Returns:
        Rows of kind `probe`. Probes without a seed of their own have `probe_seed` 0.

    Raises:
        UserError: the probe does not fit the task, or the files do not go together.
    """
    if kind == "nli" and isinstance(probe, LinearProbe | SvmProbe):
        return probe_nli(train, test, probe)
    if kind == "ner" and isinstance(probe, LinearProbe | BilstmCrfProbe):
        return probe_ner(train, test, probe, merge_tags)
    fitting = ", ".join(name for name, kinds in PROBE_TASKS.items() if kind in kinds)
    raise UserError(f"probe '{probe.kind}' on a task of kind '{kind}'; allowed: {fitting}")
