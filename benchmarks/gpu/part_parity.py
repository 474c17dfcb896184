"""Every stage on the device against float32 on the processor, at small shapes.

Vectors and logits differ relative to their size (largest difference over largest value, each layer
for itself), losses and measures in their own units.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import common
import numpy as np
import shapes
import torch
from common import FAMILIES, Made, Row, Setting, row, within
from stage_attention import tuned
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from layerscope.analysis.interventions.erasure import fit_erasers, read_inputs
from layerscope.analysis.interventions.passes import Intervened, Intervention
from layerscope.config.extraction import Activations, Attention
from layerscope.config.training import FineTuning
from layerscope.core.formats import read_layer
from layerscope.data.labels import TaskLabels
from layerscope.extraction.activations import sequence_vectors, write_activations
from layerscope.extraction.attention import choose_examples, compare_attention
from layerscope.extraction.predictions import predict
from layerscope.models.forward import forward
from layerscope.models.inputs import encode_pairs, encode_text
from layerscope.training.finetuning import _collator, _items
from layerscope.training.order import Epochs, Items
from layerscope.training.trainer import make_trainer, training_arguments

EXACT, HALF = 1e-4, 5e-2  # allowed in float32 and in bfloat16
#: A loss of 1.1 at first moves with each of 20 steps, and so do its roundings.
HALF_LOSS = 5e-2
PAIRS, SENTENCES, STEPS = 12, 12, 20
LABELS = ["contradiction", "entailment", "neutral"]
VIEWS = {
    "separate": ("nli", ["separate", "separate-last"]),
    "joint": ("nli", ["joint", "joint-last"]),
    "word": ("ner", ["word", "word-last"]),
}
REFERENCE = "reference"

Arrays = dict[str, Any]


def small(family: str, device: torch.device, head: Any = None, labels: int = 3) -> Made:
    """A small model, its weights drawn on the processor, so that they are the same everywhere."""
    torch.manual_seed(0)
    config = common.family_config(family)
    config.num_labels = labels
    config.classifier_dropout = 0.0  # of a head; some families drop a tenth unless told not to
    auto = head or common.AutoModel
    model = common.fuse_activations(auto.from_config(config).eval())
    return common.with_inputs(family, model.to(device))


def vectors(made: Made, precision: str) -> Arrays:
    """Every view and layer, through the files that probes read."""
    found = {}
    settings = Activations(dtype="float32", precision=precision)  # type: ignore[arg-type]
    for kind, views in VIEWS.values():
        table = shapes.pairs(PAIRS) if kind == "nli" else shapes.tagged(SENTENCES)
        with tempfile.TemporaryDirectory() as folder:
            paths = {view: Path(folder, f"{view}.parquet") for view in views}
            write_activations(made, table, paths, settings, {})  # type: ignore[arg-type]
            for view, path in paths.items():
                for layer in range(made.model.config.num_hidden_layers + 1):
                    found[f"activations {view} {layer}"] = read_layer(path, layer)
    return found


def predictions(family: str, device: torch.device, precision: str) -> Arrays:
    """Probabilities of both kinds of task."""
    found = {}
    for kind, head, table, labels in (
        ("nli", AutoModelForSequenceClassification, shapes.pairs(PAIRS), LABELS),
        ("ner", AutoModelForTokenClassification, shapes.tagged(SENTENCES), shapes.TAGS),
    ):
        made = small(family, device, head)
        settings = Activations(precision=precision)  # type: ignore[arg-type]
        columns = predict(made, table, TaskLabels(kind, labels), settings)
        found[f"predictions {kind}"] = np.stack(columns["probabilities"])
    return found


def attention(made: Made) -> Arrays:
    """All measures between a model and one whose weights have moved."""
    torch.manual_seed(0)
    device = next(made.model.parameters()).device
    after = tuned(made.model.cpu()).to(device)
    before = made.model.to(device)
    for model in (before, after):
        model.set_attn_implementation("eager")
    settings = Attention(examples=SENTENCES, max_length=shapes.LIMIT)
    table = shapes.tagged(SENTENCES)
    examples = choose_examples(made, table, "ner", settings)
    changed = dataclasses.replace(made, model=after)
    columns = compare_attention(examples, changed, before, None, 8)
    return {"attention": columns["value"]}


def losses(family: str, device: torch.device, precision: str) -> Arrays:
    """Of 20 steps of fine-tuning."""
    made = small(family, torch.device("cpu"), AutoModelForTokenClassification)
    settings = FineTuning(
        learning_rate=1e-4, epochs=1, batch_size=8, max_length=shapes.LIMIT,
        precision=precision,  # type: ignore[arg-type]
    )  # fmt: skip
    table = shapes.tagged(settings.batch_size * STEPS)
    items, _ = _items(table, TaskLabels("ner", shapes.TAGS), made, shapes.LIMIT)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = make_trainer(
            made.model,
            training_arguments(scratch, settings, settings.batch_size, max_steps=STEPS, seed=0),
            Epochs(items, lambda _: range(len(items))),
            Items(items[:1]),
            _collator(made.special_tokens),
        )
        trainer.train()
    assert next(made.model.parameters()).device.type == device.type
    dropped = [each.p for each in made.model.modules() if isinstance(each, torch.nn.Dropout)]
    assert not any(dropped), "dropout, which draws other numbers on another device"
    return {"losses": [each["loss"] for each in trainer.state.log_history if "loss" in each]}


def interventions(family: str, device: torch.device) -> Arrays:
    """Logits with heads masked and with the label erased at each layer."""
    made = small(family, device, AutoModelForSequenceClassification)
    passes = Activations()
    given = (made.tokenizer, made.special_tokens)
    task = TaskLabels("nli", LABELS)
    fitted_to = passes.model_copy(update={"max_length": shapes.LIMIT})
    inputs = read_inputs(made, shapes.pairs(4 * PAIRS), task, fitted_to)
    (found_erasers,) = fit_erasers(made, inputs, [inputs.codes], task, passes)
    erasers = found_erasers["mean"]
    changes = [Intervention("heads-most", heads=[(1, 0), (2, 3)])]
    changes += [Intervention("erased", layer=at, eraser=each) for at, each in enumerate(erasers, 1)]
    rows = shapes.pairs(PAIRS, seed=5).to_pydict()
    tested, _ = encode_pairs(*given, rows["premise"], rows["hypothesis"], shapes.LIMIT)

    def read(_: Any, batch: Any, output: Any) -> list[torch.Tensor]:
        return [logits.float().cpu() for logits in output]

    found: dict[int, list[Any]] = {}
    for indices, answers in forward(
        Intervened(made.model, changes), tested, made.special_tokens, 4096, "float32", read
    ):
        for place, index in enumerate(indices):
            found[index] = [answer[place].numpy() for answer in answers]
    stacked = np.stack([found[index] for index in range(len(tested))], axis=1)
    assert np.abs(stacked[1:] - stacked[0]).max() > 1e-3, "interventions that change nothing"
    return {"heads masked": stacked[1], "label erased": stacked[2:]}


def everything(device: torch.device, precision: str, families: Sequence[str]) -> dict[str, Arrays]:
    """All of it for each family."""
    found: dict[str, Arrays] = {}
    for family in families:
        made = small(family, device)
        found[family] = vectors(made, precision) | predictions(family, device, precision)
        found[family] |= losses(family, device, precision)
        if precision == "float32":
            found[family] |= attention(made)
            found[family] |= interventions(family, device)
    return found


def families_of(setting: Setting) -> Sequence[str]:
    """An encoder and a decoder at tiny shapes, or all."""
    return FAMILIES[:2] if setting.tiny else FAMILIES


@contextmanager
def on_the_processor(families: Sequence[str]) -> Iterator[Callable[[], dict[str, Arrays]]]:
    """The reference, by a process that sees no GPU and runs meanwhile: waited for when called."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "reference.npz")
        # Small shapes gain nothing from threads, and what runs beside it would wait for them.
        hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        words = [sys.executable, __file__, REFERENCE, str(out), *families]
        process = subprocess.Popen(words, env=hidden)

        def read() -> dict[str, Arrays]:
            if process.wait():
                raise RuntimeError("no reference from the processor; why not is said above")
            found: dict[str, Arrays] = {}
            with np.load(out) as loaded:
                for name in loaded.files:
                    family, _, what = name.partition("/")
                    found.setdefault(family, {})[what] = loaded[name]
            return found

        try:
            yield read
        finally:
            process.kill()
            process.wait()


def relative(found: Any, expected: Any) -> float:
    """Largest difference over the largest value; NaN if either has one."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    return float(np.abs(a - b).max() / np.abs(b).max())


def compare(found: dict[str, Arrays], expected: dict[str, Arrays], half: bool) -> list[Row]:
    """A row a family and stage: the worst of its arrays."""
    rows = []
    for family, arrays in found.items():
        worst: dict[str, float] = {}
        for name, array in arrays.items():
            stage = name if name in ("heads masked", "label erased") else name.split()[0]
            other = expected[family][name]
            far = relative(array, other)
            if stage in ("losses", "attention", "predictions"):
                far = float(np.abs(np.asarray(array) - np.asarray(other)).max())
            worst[stage] = max(worst.get(stage, 0.0), far) if far == far else float("nan")
        kind = "bfloat16" if half else "float32"
        for stage, far in worst.items():
            rows.append(within(f"{family}, {stage}, {kind}", far, HALF if half else EXACT))
    return rows


def padding(setting: Setting, families: Sequence[str]) -> list[Row]:
    """Vectors of a text alone and beside longer ones."""
    rows = []
    for family in families:
        made = small(family, setting.device)
        texts = [" ".join(words) for words in shapes.sentences(PAIRS)]
        sequences, _ = encode_text(made.tokenizer, made.special_tokens, texts, shapes.LIMIT)
        alone, together = (
            sequence_vectors(made, sequences, Activations(batch_tokens=budget))
            for budget in (1, 100_000)
        )
        rows.append(within(f"{family}, padding, float32", relative(together, alone), EXACT))
    return rows


def run(setting: Setting) -> dict[str, Any]:
    """Compare on the device."""
    families = families_of(setting)
    with on_the_processor(families) as reference:
        exact = everything(setting.device, "float32", families)
        # A processor computes bfloat16 slowly: at tiny shapes one family has to do.
        half = everything(setting.device, "bfloat16", families[:1] if setting.tiny else families)
        rows = padding(setting, families)
        expected = reference()
    rows = compare(exact, expected, half=False) + compare(half, expected, half=True) + rows
    finite = all(
        np.isfinite(array).all() for arrays in expected.values() for array in arrays.values()
    )
    return {"rows": [*rows, row("reference has no NaN", "yes" if finite else "no", ok=finite)]}


if __name__ == "__main__":
    if sys.argv[1:2] == [REFERENCE]:
        arrays = everything(torch.device("cpu"), "float32", sys.argv[3:])
        named = {f"{f}/{name}": v for f, each in arrays.items() for name, v in each.items()}
        np.savez(sys.argv[2], **{name: np.asarray(array) for name, array in named.items()})
    else:
        common.main(run)
