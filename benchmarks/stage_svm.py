"""The published probe of pairs, an RBF support vector machine on raw vectors, one layer.

A layer of pairs that are encoded apart has three machines: of the pair, and of each half alone.

- layerscope: `predict_svm`, kernels of matrix products, then libsvm on them; in memory that the
  layer before has left.
- published: scikit-learn's `SVC()` three times, which computes kernels one pair of rows at a time.
  Once, since it takes minutes; on all rows if a pilot says that it ends within six minutes, else on
  fewer.
- scikit-learn-intelex, where it is installed.
- limit: a float64 matrix product, against the products of both kernels, n (n + 2 m) d operations,
  the inner one being symmetric; exponentials and the fits count as loss.

Layers differ in nothing that matters here, so that one stands for all.

    python benchmarks/stage_svm.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import made
import measure
import numpy as np
import stage
import torch
from sklearn.svm import SVC

from layerscope.analysis.probing.svm import make_room, predict_svm

#: Rows of training and test, width, rows of the pilot, rows where the whole would take too long.
SIZES = {"full": (9000, 2000, 1536, 1500, 4000), "smoke": (400, 100, 64, 100, 200)}
TURNS = {"full": 3, "smoke": 2}
MOST_SECONDS = 360
TOLERANCE = 0.001  # share of test rows whose class may differ; the goal is none


def timed(way: Callable[[], Any]) -> tuple[Any, float]:
    """What a way gives, and its seconds."""
    begun = time.perf_counter()
    return way(), time.perf_counter() - begun


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    rows, others, width, pilot, fewer = SIZES[size]
    vectors, labels = made.labelled_vectors(rows + others, width, 3)
    test, truth = vectors[rows:], labels[rows:]

    halves, test_halves = (np.split(each, 2, axis=1) for each in (vectors, test))
    room = {rows: make_room(rows, others, 2)}

    def machines(machine: Callable[[], Any], count: int) -> Any:
        views = zip([vectors, *halves], [test, *test_halves], strict=True)
        return [machine().fit(v[:count], labels[:count]).predict(w) for v, w in views]

    def published(count: int) -> Any:
        return machines(SVC, count)

    def ours(count: int) -> Any:
        room.setdefault(count, make_room(count, others, 2))
        learnt = [half[:count] for half in halves]
        found = predict_svm(learnt, labels[:count], test_halves, 1.0, room[count])
        return [answers[0] for answers in found]

    _, seconds = timed(lambda: published(pilot))
    expected_seconds = seconds * rows * (rows + others) / (pilot * (pilot + others))
    compared = rows if expected_seconds < MOST_SECONDS else fewer
    expected, once = timed(lambda: published(compared))
    found = ours(compared)
    equal = stage.equal(
        "predictions that differ, share of test rows",
        np.mean(np.asarray(found) != np.asarray(expected)),
        0,
        TOLERANCE,
    )

    side, repeats = (2048, 4) if size == "full" else (256, 2)
    a, b = torch.randn(side, side).double(), torch.randn(side, side).double()

    def product() -> None:
        for _ in range(repeats):
            torch.mm(a, b)

    ways: dict[str, Callable[[], Any]] = {"layerscope": lambda: ours(rows), "product": product}
    if compared != rows:
        ways["layerscope, fewer rows"] = lambda: ours(compared)
    if importlib.util.find_spec("sklearnex"):
        other = importlib.import_module("sklearnex.svm").SVC
        ways["scikit-learn-intelex"] = lambda: machines(other, rows)
    taken = measure.take_turns(ways, TURNS[size])
    product_seconds = taken.pop("product")
    same = taken["layerscope, fewer rows"] if compared != rows else taken["layerscope"]
    operations = 1.0 * rows * (rows + 2 * others) * width
    pairs = dict.fromkeys(taken, 3 * rows * (rows + others)) | {
        "layerscope, fewer rows": 3 * compared * (compared + others)
    }
    figures = {name: stage.way(pairs[name], value, "kernels/s") for name, value in taken.items()}
    figures["published"] = stage.way(3 * compared * (compared + others), [once], "kernels/s")
    ratio = measure.ratio([once] * len(same), same)
    return {
        "stage": "svm",
        "shape": f"one layer, {rows} x {width} training and {others} test rows, 3 classes, made "
        "up; a machine of all columns and of each half of them; published once, on "
        f"{compared} training rows, ratio on as many",
        "equal": equal,
        "ways": figures,
        "ratios": {"layerscope / published": ratio}
        | {
            f"layerscope / {name}": measure.ratio(taken[name], taken["layerscope"])
            for name in ("scikit-learn-intelex",)
            if name in taken
        },
        "limit": {
            "layerscope, of a float64 matrix product": stage.share(
                operations, taken["layerscope"], 2.0 * side**3 * repeats, product_seconds
            )
        },
        "goal": "25 x SVC(), the same predictions",
        "reached": bool(ratio["median"] >= 25 and np.array_equal(found, expected)),
        "notes": f"accuracy {np.mean(expected[0] == truth):.3f}; published took {once:.1f} s on "
        f"{compared} rows, by pairs of rows {expected_seconds:.0f} s on all "
        f"(from {pilot} rows)",
    }


if __name__ == "__main__":
    stage.main(run)
