"""Seconds that a layer of each probe takes at the shapes of the published study, on one core.

Vectors are made up. Meant for predict.py, which calls it as a process of its own, since the number
of threads is fixed when libraries are loaded.

    OMP_NUM_THREADS=1 python benchmarks/paper_probes.py [--smoke] --out FILE
"""

from __future__ import annotations

from typing import Any

import made
import numpy as np
import stage
from stage_svm import timed

from layerscope.analysis.probing.features import standardise
from layerscope.analysis.probing.linear import predict_linear
from layerscope.analysis.probing.stacked_crf import predict_stacked
from layerscope.analysis.probing.svm import make_room, predict_svm
from layerscope.config.probes import BilstmCrfProbe, LinearProbe

#: Training and test rows of MedNLI, and classes; the same of JNLPBA's words, whose training words
#: config/paper.yaml limits; sentences that the BiLSTM-CRF is timed on.
SIZES = {
    "full": {"pairs": (11232, 1422, 3), "words": (150_000, 103_000, 11), "sentences": 960},
    "smoke": {"pairs": (300, 60, 3), "words": (900, 300, 11), "sentences": 48},
}
WIDTHS = {"full": (768, 1024), "smoke": (16, 24)}


def linear_seconds(rows: int, others: int, classes: int, width: int) -> float:
    """One layer, true labels and the control's, with scaling."""
    vectors, labels = made.labelled_vectors(rows + others, width, classes)
    settings = LinearProbe(kind="linear")

    def probe() -> None:
        train, test = standardise(vectors[:rows], vectors[rows:])
        sets = [labels[:rows], np.random.default_rng(0).permutation(labels[:rows])]
        predict_linear(train, sets, test, settings.inverse_regularisation, settings.max_iterations)

    return timed(probe)[1]


def svm_seconds(rows: int, others: int, classes: int, width: int, parts: int) -> float:
    """One layer after the first, of pairs that are encoded together (1 part) or apart (2)."""
    vectors, labels = made.labelled_vectors(rows + others, parts * width, classes)
    train, test = (np.split(each, parts, axis=1) for each in (vectors[:rows], vectors[rows:]))
    room = make_room(rows, others, parts)
    predict_svm(train, labels[:rows], test, 1.0, room)
    return timed(lambda: predict_svm(train, labels[:rows], test, 1.0, room))[1]


def crf_words(sentences: int, tags: int, width: int) -> float:
    """Words a second of a pass over training sentences; tags of the same words count a third."""
    lengths = made.sentence_lengths(sentences)
    vectors, labels = made.labelled_vectors(int(lengths.sum()), width, tags, apart=0.5)
    examples = [f"s{number}" for number in np.repeat(np.arange(sentences), lengths)]
    settings = BilstmCrfProbe(kind="bilstm-crf")

    def probe() -> None:
        predict_stacked(
            vectors[None], labels, examples, vectors[None], examples,
            tags=tags, hidden=settings.hidden, epochs=1,
            batch_size=settings.batch_size, learning_rate=settings.learning_rate, seed=0,
        )  # fmt: skip

    return len(vectors) * 4 / 3 / timed(probe)[1]


def run(size: str) -> dict[str, Any]:
    """Figures by width of the model; pairs encoded apart are twice as wide."""
    sizes = SIZES[size]
    pairs, words = sizes["pairs"], sizes["words"]
    return {
        str(width): {
            "svm, joint": svm_seconds(*pairs, width, parts=1),
            "svm, separate": svm_seconds(*pairs, width, parts=2),
            "linear, joint": (one := linear_seconds(*pairs, width)),
            "linear, separate": linear_seconds(*pairs, 2 * width) + 2 * one,
            "linear on words": linear_seconds(*words, width),
            "bilstm-crf, words/s": crf_words(sizes["sentences"], words[2], width),
        }
        for width in WIDTHS[size]
    }


if __name__ == "__main__":
    stage.main(run)
