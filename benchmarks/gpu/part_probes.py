"""Probes on the device: their rates beside the processor's, and whether answers are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import made
import numpy as np
import torch
from common import Setting, row

from layerscope.analysis.probing.linear import predict_linear
from layerscope.analysis.probing.stacked_crf import predict_stacked
from layerscope.analysis.probing.svm import predict_svm

LAYERS = 13
Answers = list[np.ndarray[Any, Any]]


def run(setting: Setting) -> dict[str, Any]:
    """BiLSTM-CRFs of all layers together, and one layer's linear probe and SVM."""
    rows = _tagged(setting)
    pairs, width = (120, 16) if setting.tiny else (4000, 1536)
    vectors, labels = made.labelled_vectors(pairs + pairs // 4, width, 3)
    train, test, known = vectors[:pairs], vectors[pairs:], labels[:pairs]
    groups = [str(each // 3) for each in range(pairs)]

    def linear(device: torch.device | None) -> Answers:
        return predict_linear(train, [known], test, None, 200, groups, 5, device)

    def svm(device: torch.device | None) -> Answers:
        return [found[0] for found in predict_svm([train], known, [test], 1.0, device=device)]

    rows += _beside(setting, "linear, one layer of pairs", linear, pairs, "rows/s")
    rows += _beside(setting, "svm, one layer of pairs", svm, pairs, "rows/s")
    return {"rows": rows}


def _tagged(setting: Setting) -> list[dict[str, Any]]:
    sentences, width, hidden = (30, 32, 16) if setting.tiny else (500, 768, 256)
    lengths = made.sentence_lengths(sentences)
    vectors, tags = made.labelled_vectors(int(lengths.sum()), width, 11)
    examples = np.repeat(np.arange(sentences).astype(str), lengths).tolist()

    def tagged(device: torch.device | None, layers: int) -> Answers:
        stacked = np.repeat(vectors[None], layers, axis=0)
        return predict_stacked(
            stacked, tags, examples, stacked[:, :100].copy(), examples[:100],
            device=device or "cpu", tags=11, hidden=hidden, epochs=1, batch_size=64,
            learning_rate=1e-3, seed=0,
        )  # fmt: skip

    def of_all(device: torch.device | None) -> Answers:
        return tagged(device, 1 if device is None else LAYERS)

    name = f"bilstm-crf, {LAYERS} layers together"
    return _beside(setting, name, of_all, len(vectors), "words of a layer/s", here=1, there=LAYERS)


def _beside(
    setting: Setting,
    name: str,
    answers: Callable[[torch.device | None], Answers],
    items: int,
    unit: str,
    here: int = 1,
    there: int = 1,
) -> list[dict[str, Any]]:
    """Rates on the processor, of `here` layers, and on the device, of `there`; and what agrees."""
    on_core = setting.seconds(lambda: answers(None), turns=2)
    on_device = setting.seconds(lambda: answers(setting.device), turns=2)
    pairs = list(zip(answers(setting.device), answers(None), strict=False))
    same = float(np.mean([np.mean(own == other) for own, other in pairs]))
    return [
        row(f"{name}: on the processor", [here * items / each for each in on_core], unit),
        row(f"{name}: on the device", [there * items / each for each in on_device], unit),
        row(f"{name}: answers that are the processor's", same, "of all", "0.99", same > 0.99),
    ]


if __name__ == "__main__":
    common.main(run)
