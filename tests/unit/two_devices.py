"""A program: a tiny model studied on one device and over two; prints how far they are apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft.peft_model
from planted import LABELS, PASSES, examples
from second_device import DEVICE, Elsewhere
from tiny_families import FAMILIES, save_family
from transformers import PreTrainedModel

from layerscope.analysis.interventions.checks import check, sample_of
from layerscope.analysis.interventions.choice import interventions_of
from layerscope.analysis.interventions.passes import Intervened
from layerscope.config.extraction import Attention
from layerscope.config.interventions import Interventions
from layerscope.config.training import FineTuning
from layerscope.config.weights import Lora
from layerscope.core.applicability import described
from layerscope.core.formats import write_table
from layerscope.data.labels import TaskLabels
from layerscope.extraction.activations import word_vectors
from layerscope.extraction.attention import attention_table
from layerscope.extraction.predictions import predict, predict_each
from layerscope.models import loaded as loading
from layerscope.models.inputs import encode_sentences
from layerscope.models.loaded import load_body, load_fine_tuned
from layerscope.models.parts import blocks
from layerscope.models.placement import laid_out
from layerscope.training import finetuning
from layerscope.training.finetuning import FineTuningData, finetune

SETTINGS = FineTuning(
    learning_rate=1e-2, epochs=1, batch_size=8, max_length=48, gradient_checkpointing=True
)
ADAPTER = Lora(kind="lora", rank=2, alpha=16)


def halves(model: PreTrainedModel) -> dict[str, str]:
    """The first block and what comes before it on the processor, the rest elsewhere."""
    first = blocks(model)[0]
    found: dict[str, str] = {}

    def visit(module: Any, name: str) -> Iterator[tuple[str, bool]]:
        if module is first or first not in module.modules():
            yield name, module is first
            return
        for own, child in module.named_children():
            yield from visit(child, f"{name}.{own}".lstrip("."))

    device = "cpu"
    for name, last in visit(model, ""):
        found[name] = device
        device = DEVICE if last else device
    return found


def over_two(model: PreTrainedModel) -> PreTrainedModel:
    """In place of `placed`; inputs of each block are to come on its device."""
    laid_out(model, halves(model))
    model.hf_device_map = {name: int(each != "cpu") for name, each in halves(model).items()}
    for block in blocks(model):
        block.register_forward_pre_hook(require_here)
    return model


def require_here(block: Any, inputs: Any) -> None:
    own, given = next(block.parameters()).device, inputs[0].device
    assert own == given, f"inputs on {given} of a block on {own}"


def save_here(save: Any) -> Any:
    """How weights are written: safetensors looks for the memory of a tensor."""
    return lambda tensors, *more, **options: save(
        {name: each.detach().cpu() for name, each in tensors.items()}, *more, **options
    )


def studied(family: str, base: Path, out: Path, over: Any = None) -> dict[str, Any]:
    """What a study measures of a family, fine-tuned with an adapter."""
    loading.placed = finetuning.placed = over or (lambda model: model)  # type: ignore[assignment]
    architecture, kind = FAMILIES[family].architecture, "ner"
    task = TaskLabels(kind, LABELS[kind])
    data = FineTuningData(examples(kind, 16, 1), examples(kind, 2, 2), task)
    out.mkdir(parents=True)
    options: Any = {"architecture": architecture, "settings": SETTINGS, "adapter": ADAPTER}
    history = finetune(base, out, data, seed=1, **options)
    tuned, whole = (load_fine_tuned(out, architecture, task, base) for _ in range(2))
    assert len({each.device for each in tuned.model.parameters()}) == (2 if over else 1)
    body, test = whole.without_head(), examples(kind, 6, 3)
    tokens = test["tokens"].to_pylist()
    windows, _ = encode_sentences(body.tokenizer, body.special_tokens, tokens, 48)
    vectors = word_vectors(body, [each for found in windows for each in found], PASSES)
    others = [load_body(folder, body, base) for folder in (base, out)]
    columns, reasons = attention_table(body, *others, test, kind, Attention(examples=3))
    assert not reasons
    write_table(out / "a.parquet", "attention", columns, described(reasons))
    settings = Interventions(head_shares=[25], random_draws=1)
    given: Any = (settings, PASSES, out / "a.parquet")
    found, missing = interventions_of(tuned, examples(kind, 12, 6), task, "m", *given)
    assert not missing
    answers = predict_each(Intervened(tuned.model, found), tuned, test, task, PASSES)
    sample = sample_of(tuned, test, task, 0, PASSES)
    checked = check(tuned, sample, found, task, lambda *_: {}, PASSES)
    return {
        "losses": [history["final_loss"], history["validation_loss"]],
        "predictions": np.stack(predict(tuned, test, task, PASSES)["probabilities"]),
        "activations": vectors,
        "attention": columns["value"],
        "interventions": np.stack([np.stack(each["probabilities"]) for each in answers]),
        "edits": [each.edit for each in checked if each],
    }


def main() -> None:
    """Print the largest difference of each measure."""
    model: Any = peft.peft_model
    model.safe_save_file = save_here(model.safe_save_file)
    storage = model.id_tensor_storage
    model.id_tensor_storage = lambda each: storage(
        each.held if isinstance(each, Elsewhere) else each
    )
    family, folder = sys.argv[2], Path(sys.argv[1])
    base = save_family(family, folder / "base")
    one = studied(family, base, folder / "one")
    two = studied(family, base, folder / "two", over_two)
    apart = {name: np.abs(np.subtract(value, two[name])).max() for name, value in one.items()}
    print(json.dumps({name: float(each) for name, each in apart.items()}))


if __name__ == "__main__":
    main()
