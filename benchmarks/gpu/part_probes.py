"""Probes: what runs on the device, and at what rate. Today they all run on the processor."""

from __future__ import annotations

from typing import Any

import common
import made
import numpy as np
from common import Setting, row

from layerscope.analysis.probing.bilstm_crf import predict_bilstm_crf

ON_THE_DEVICE: tuple[str, ...] = ()  # kinds of probes that the library runs on a GPU


def run(setting: Setting) -> dict[str, Any]:
    """The BiLSTM-CRF's rate, and which probes do not run on the device yet."""
    sentences, width, hidden = (30, 32, 16) if setting.tiny else (500, 768, 256)
    lengths = made.sentence_lengths(sentences)
    vectors, tags = made.labelled_vectors(int(lengths.sum()), width, 11)
    examples = np.repeat(np.arange(sentences).astype(str), lengths).tolist()

    def once() -> Any:
        return predict_bilstm_crf(
            vectors, tags, examples, vectors[:100], examples[:100], tags=11, hidden=hidden,
            epochs=1, batch_size=64, learning_rate=1e-3, seed=0,
        )  # fmt: skip

    rate = [len(vectors) / each for each in setting.seconds(once, turns=2)]
    rows = [row("bilstm-crf, on the processor", rate, "words/s")]
    rows += [
        row(f"{kind}, on the device", "runs on the processor alone yet")
        for kind in ("bilstm-crf", "linear", "svm")
        if kind not in ON_THE_DEVICE
    ]
    return {"rows": rows}


if __name__ == "__main__":
    common.main(run)
