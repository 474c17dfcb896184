"""Every layer of cached activations, probed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from layerscope.analysis.probing import controls
from layerscope.analysis.probing.draws import Weights, draw_weights
from layerscope.analysis.probing.features import Vectors, combined, standardise
from layerscope.analysis.probing.files import Codes, Keys, read_labels, shared_metadata
from layerscope.config.probes import (
    PROBE_TASKS,
    BilstmCrfProbe,
    LinearProbe,
    Probe,
    SvmProbe,
    together_mb,
)
from layerscope.core.encodings import COMBINED, SEPARATE, encoding, part_of
from layerscope.core.errors import UserError
from layerscope.core.formats import activation_metadata, read_layer, stored_layers
from layerscope.core.kinds import TaskKind, labels_examples
from layerscope.data.iob import merge, merged_labels, unmerge
from layerscope.statistics import metrics

if TYPE_CHECKING:
    import torch

    Device = str | torch.device | None

Row = dict[str, Any]

log = logging.getLogger(__name__)


class Probed(NamedTuple):
    """What a probe of one layer found: its measures, and its answers to the test rows.

    Answers are codes of the task's labels, whatever the probe itself learned. A probe that learned
    from a draw of the rows, numbered from 1 on, has answers alone.
    """

    view: str
    layer: int
    seed: int
    values: dict[str, float]
    predicted: Codes
    draw: int = 0

    def rows(self) -> Iterator[Row]:
        """Rows of kind `probe`, without the split that was learned from."""
        keys = {"view": self.view, "layer": self.layer}
        for metric, value in self.values.items():
            yield keys | {"metric": metric, "value": value, "probe_seed": self.seed}


def probe_examples(
    train: str | Path, test: str | Path, probe: LinearProbe | SvmProbe, device: Device = None
) -> Iterator[Probed]:
    """A probe on vectors of examples, layer by layer.

    The view `separate` is probed whole, and its halves as views `premise` and `hypothesis`; by a
    linear probe also with what compares the halves, as view `combined`. There is no control task:
    texts and pairs hardly recur in the test data, so that no control label could be learned.
    """
    described = shared_metadata(train, test)
    names = described["labels"]
    keys, labels = read_labels(train, names)
    _, truth = read_labels(test, names)
    if isinstance(probe, LinearProbe):
        answers = _by_lines(train, keys, labels, test, probe, len(names), device)
    else:
        answers = _by_svms(train, keys, labels, test, probe, device)
    for layer, view, (found, *drawn), standardised, lengths in answers:
        values = _example_scores(truth, found, names)
        if standardised is not None:
            scores = _example_scores(truth, standardised, names)
            values |= {f"{metric}_standardised": value for metric, value in scores.items()}
        yield _told(Probed(view, layer, 0, values | lengths, found))
        for draw, codes in enumerate(drawn, 1):
            yield Probed(view, layer, 0, {}, codes, draw)


#: Layer, view, answers of probes of all rows and of draws of them, those of one of standardised
#: vectors, and further measures.
Answers = Iterator[tuple[int, str, Sequence[Codes], Codes | None, dict[str, float]]]


def _by_lines(
    train: str | Path,
    keys: Keys,
    labels: Codes,
    test: str | Path,
    probe: LinearProbe,
    classes: int,
    device: Device,
) -> Answers:
    described = activation_metadata(train)
    for layer in stored_layers(described):
        parts = _inputs(read_layer(train, layer), described["view"], probe)
        test_parts = _inputs(read_layer(test, layer), described["view"], probe)
        for view, vectors in parts.items():
            scaled, scaled_test = standardise(vectors, test_parts[view])
            found = _linear(scaled, [labels], scaled_test, keys["group_id"], probe, device)
            lengths = _code_lengths(scaled, {"": labels}, keys, classes, probe, device)
            yield layer, view, found, None, lengths


def _inputs(vectors: Vectors, view: str, probe: LinearProbe) -> dict[str, Vectors]:
    """What a linear probe reads: a view, its halves, and what compares them."""
    found = controls.halves(vectors, view)
    if probe.combined and encoding(view) == SEPARATE:
        found[part_of(COMBINED, view)] = combined(vectors)
    return found


def _by_svms(
    train: str | Path,
    keys: Keys,
    labels: Codes,
    test: str | Path,
    probe: SvmProbe,
    device: Device,
) -> Answers:
    """Answers of support vector machines; views of a layer share products of vectors.

    As published, vectors are raw; those of machines that read them standardised come beside.
    """
    from layerscope.analysis.probing.svm import make_room, predict_svm

    described, room = activation_metadata(train), None
    weights = draw_weights(keys["group_id"], probe.row_draws)
    for layer in stored_layers(described):
        parts = controls.halves(read_layer(train, layer), described["view"])
        test_parts = controls.halves(read_layer(test, layer), described["view"])
        separate = list(parts)[1:] or list(parts)
        vectors, others = ([each[view] for view in separate] for each in (parts, test_parts))
        if device is None:
            room = room or make_room(len(labels), len(others[0]), len(vectors))
        settings = probe.inverse_regularisation, room
        found = predict_svm(vectors, labels, others, *settings, weights, device)
        scaled = [standardise(*pair) for pair in zip(vectors, others, strict=True)]
        vectors, others = ([pair[side] for pair in scaled] for side in (0, 1))
        further = predict_svm(vectors, labels, others, *settings, device=device)
        for view, raw, (standardised,) in zip(parts, found, further, strict=True):
            yield layer, view, list(raw), standardised, {}


def _example_scores(truth: Codes, predicted: Codes, names: Sequence[str]) -> dict[str, float]:
    answers = [names[code] for code in predicted]
    return metrics.values(metrics.example_metrics([names[code] for code in truth], answers, names))


def probe_ner(
    train: str | Path,
    test: str | Path,
    probe: LinearProbe | BilstmCrfProbe,
    merge_tags: bool = False,
    device: Device = None,
) -> Iterator[Probed]:
    """A probe on vectors of words, layer by layer.

    With `merge_tags` the probe learns types of entity in place of IOB2 tags. Its answers are turned
    back before they are scored; accuracy and control are of what it learns.
    """
    described = shared_metadata(train, test)
    tags, view = described["labels"], described["view"]
    keys, labels = read_labels(train, tags)
    test_keys, truth = read_labels(test, tags)
    names = tags
    if merge_tags:
        names = merged_labels(tags)
        merged = metrics.encode(merge(tags), names)
        labels, truth = merged[labels], merged[truth]

    def answered(learned: Codes) -> list[str]:
        answers = [names[code] for code in learned]
        return unmerge(answers, test_keys["example_id"]) if merge_tags else answers

    def of_draws(layer: int, seed: int, learned: Sequence[Codes]) -> Iterator[Probed]:
        for draw, codes in enumerate(learned, 1):
            yield Probed(view, layer, seed, {}, metrics.encode(answered(codes), tags), draw)

    def found(layer: int, seed: int, learned: Codes, further: dict[str, float]) -> Probed:
        answers = answered(learned)
        parts = metrics.ner_metrics(test_keys["label"], answers, test_keys["example_id"], tags)
        values = metrics.values(parts) | {"accuracy": float(np.mean(learned == truth))}
        if "control_accuracy" in further:
            further["selectivity"] = values["accuracy"] - further["control_accuracy"]
        predicted = metrics.encode(answers, tags)
        return _told(Probed(view, layer, seed, values | further, predicted))

    given = _Words((train, test), labels, keys, test_keys, len(names))
    if isinstance(probe, LinearProbe):
        asked = _by_word_lines(given, probe, device)
    else:
        asked = _by_crfs(given, probe, device)
    for layer, seed, (answers, *drawn), further in asked:
        yield found(layer, seed, answers, further)
        yield from of_draws(layer, seed, drawn)


#: Layer, seed, answers of probes of all rows and of draws of them, and further measures.
WordAnswers = Iterator[tuple[int, int, Sequence[Codes], dict[str, float]]]


class _Words(NamedTuple):
    """Words of a task that probes learn from and are tested on."""

    files: tuple[str | Path, str | Path]  # activations: of the rows to learn from, and to test on
    labels: Codes  # of the rows to learn from
    keys: Keys
    test_keys: Keys
    classes: int

    def vectors(self, layer: int) -> tuple[Vectors, Vectors]:
        """Standardised vectors of a layer, to learn from and to test on."""
        train, test = self.files
        return standardise(read_layer(train, layer), read_layer(test, layer))


def _by_word_lines(words: _Words, probe: LinearProbe, device: Device) -> WordAnswers:
    """Answers of linear probes, which learn the labels of a control task too."""
    labels, keys = words.labels, words.keys
    control, control_truth = controls.word_type_labels(
        keys["word"], labels, words.test_keys["word"], probe.control_seed
    )
    sets = {"": labels, "control_": control}
    for layer in stored_layers(activation_metadata(words.files[0])):
        vectors, others = words.vectors(layer)
        answers, guessed, *drawn = _linear(
            vectors, list(sets.values()), others, keys["group_id"], probe, device
        )
        further = {"control_accuracy": float(np.mean(guessed == control_truth))}
        further |= _code_lengths(vectors, sets, keys, words.classes, probe, device)
        yield layer, 0, [answers, *drawn], further


def _by_crfs(words: _Words, probe: BilstmCrfProbe, device: Device) -> WordAnswers:
    """Answers of BiLSTM-CRFs; those of several layers are trained together."""
    described, test_keys = activation_metadata(words.files[0]), words.test_keys
    rows = len(words.labels) + len(test_keys["label"])
    most = together_mb(device is not None)
    for some in _together(stored_layers(described), described["width"], rows, most):
        pairs = [words.vectors(layer) for layer in some]
        vectors, others = (np.stack([pair[side] for pair in pairs]) for side in (0, 1))
        learned, asked = (vectors, words.labels, words.keys), (others, test_keys["example_id"])
        by_seed = [
            list(_by_draws(learned, asked, words.classes, probe, seed, device))
            for seed in probe.seeds
        ]
        for place, layer in enumerate(some):
            for seed, answers in zip(probe.seeds, by_seed, strict=True):
                yield layer, seed, [each[place] for each in answers], {}


def _together(layers: Sequence[int], width: int, rows: int, most: int) -> Iterator[Sequence[int]]:
    """Layers in runs whose vectors, at most so many MB, are in memory together."""
    count = max(1, int(most * 1e6 / (4 * width * rows)))
    return (layers[start : start + count] for start in range(0, len(layers), count))


def _by_draws(
    learned: tuple[Vectors, Codes, Keys],
    others: tuple[Vectors, Sequence[str]],
    tags: int,
    probe: BilstmCrfProbe,
    seed: int,
    device: Device,
) -> Iterator[list[Codes]]:
    """Answers of BiLSTM-CRFs, one each layer, that learned from all rows, then from draws of them.

    Vectors are layers x words x width.
    """
    from layerscope.analysis.probing.stacked_crf import predict_stacked

    vectors, labels, keys = learned
    predict = partial(
        predict_stacked,
        device=device or "cpu",
        tags=tags,
        hidden=probe.hidden,
        epochs=probe.epochs,
        batch_size=probe.batch_size,
        learning_rate=probe.learning_rate,
        seed=seed,
    )
    yield predict(vectors, labels, keys["example_id"], *others)
    for weights in draw_weights(keys["group_id"], probe.row_draws):
        rows, examples = _repeated(keys["example_id"], weights)
        yield predict(vectors[:, rows], labels[rows], examples, *others)


def _repeated(examples: Sequence[str], weights: Weights) -> tuple[Codes, list[str]]:
    """Rows of a draw and their sentences: one that is in it twice is two sentences."""
    most = int(weights.max())
    rows = [np.flatnonzero(weights > times) for times in range(most)]
    names = [f"{examples[int(row)]} {times}" for times, own in enumerate(rows) for row in own]
    return np.concatenate(rows), names


def _linear(
    train: Vectors,
    label_sets: Sequence[Codes],
    test: Vectors,
    groups: Sequence[str],
    probe: LinearProbe,
    device: Device,
) -> list[Codes]:
    from layerscope.analysis.probing.linear import predict_linear

    settings = probe.inverse_regularisation, probe.max_iterations
    return predict_linear(train, label_sets, test, *settings, groups, probe.row_draws, device)


def _code_lengths(
    vectors: Vectors,
    label_sets: dict[str, Codes],
    keys: Keys,
    classes: int,
    probe: LinearProbe,
    device: Device,
) -> dict[str, float]:
    """Bits of the true labels, alone and given vectors, and compression of all sets of labels.

    Examples come in random order, and the words of one stay together.

    Args:
        label_sets: by what the name of their compression begins with; the true ones first.
    """
    if not probe.code_length:
        return {}
    from layerscope.analysis.probing.codelength import online_code_lengths

    examples = keys["example_id"]
    known = {name: place for place, name in enumerate(dict.fromkeys(examples))}
    drawn = np.random.default_rng(probe.control_seed).permutation(len(known))
    order = np.argsort(drawn[[known[name] for name in examples]], kind="stable")
    groups = [keys["group_id"][row] for row in order]
    sets = [labels[order] for labels in label_sets.values()]
    settings = probe.inverse_regularisation, probe.max_iterations
    found = online_code_lengths(vectors[order], sets, classes, *settings, groups, device)
    lengths = {"code_length": found[0].online, "frequency_code_length": found[0].frequencies}
    names = zip(label_sets, found, strict=True)
    return lengths | {f"{name}compression": each.compression for name, each in names}


def _told(probed: Probed) -> Probed:
    values = {metric: round(value, 3) for metric, value in probed.values.items()}
    log.info("view %s, layer %d: %s", probed.view, probed.layer, values)
    return probed


def probe_layers(
    train: str | Path,
    test: str | Path,
    probe: Probe,
    kind: TaskKind,
    merge_tags: bool = False,
    device: Device = None,
) -> Iterator[Probed]:
    """Probe every layer of one view; one layer's vectors are in memory at a time.

    Args:
        train: activations of the rows to learn from.
        test: activations of test data, of the same model and view.
        probe: settings of the probe.
        kind: of the task.
        merge_tags: NER alone: whether the probe learns types in place of IOB2 tags.
        device: of PyTorch to compute on; None for the processor.

    Returns:
        What was found in each layer. Probes without a seed of their own have seed 0.

    Raises:
        UserError: the probe does not fit the task, or the files do not go together.
    """
    if labels_examples(kind) and isinstance(probe, LinearProbe | SvmProbe):
        return probe_examples(train, test, probe, device)
    if not labels_examples(kind) and isinstance(probe, LinearProbe | BilstmCrfProbe):
        return probe_ner(train, test, probe, merge_tags, device)
    fitting = ", ".join(name for name, kinds in PROBE_TASKS.items() if kind in kinds)
    raise UserError(f"probe '{probe.kind}' on a task of kind '{kind}'; allowed: {fitting}")
