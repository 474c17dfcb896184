"""Probes: what runs on the device, and at what rate."""

from __future__ import annotations

from typing import Any

import common
import made
import numpy as np
import torch
from common import Setting, row

from layerscope.analysis.probing.stacked_crf import predict_stacked

LAYERS = 13
ON_THE_DEVICE = ("bilstm-crf",)  # kinds of probes that the library can run on a GPU


def run(setting: Setting) -> dict[str, Any]:
    """The rate of BiLSTM-CRFs of all layers, and which probes do not run on the device yet."""
    sentences, width, hidden = (30, 32, 16) if setting.tiny else (500, 768, 256)
    lengths = made.sentence_lengths(sentences)
    vectors, tags = made.labelled_vectors(int(lengths.sum()), width, 11)
    examples = np.repeat(np.arange(sentences).astype(str), lengths).tolist()

    def tagged(layers: int, device: torch.device) -> Any:
        stacked = np.repeat(vectors[None], layers, axis=0)
        return predict_stacked(
            stacked, tags, examples, stacked[:, :100].copy(), examples[:100], device=device,
            tags=11, hidden=hidden, epochs=1, batch_size=64, learning_rate=1e-3, seed=0,
        )  # fmt: skip

    def rate(layers: int, device: torch.device) -> list[float]:
        times = setting.seconds(lambda: tagged(layers, device), turns=2)
        return [layers * len(vectors) / each for each in times]

    here = torch.device("cpu")
    same = float(np.mean(tagged(1, setting.device)[0] == tagged(1, here)[0]))
    rows = [
        row("bilstm-crf, one layer on the processor", rate(1, here), "words/s"),
        row(f"bilstm-crf, {LAYERS} layers on the device", rate(LAYERS, setting.device), "words/s"),
        row(
            "bilstm-crf, tags on the device that are the processor's",
            same,
            "of all",
            "0.99",
            same > 0.99,
        ),
    ]
    rows += [
        row(f"{kind}, on the device", "runs on the processor alone yet")
        for kind in ("linear", "svm")
        if kind not in ON_THE_DEVICE
    ]
    return {"rows": rows}


if __name__ == "__main__":
    common.main(run)
