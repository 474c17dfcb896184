"""Linear probes of all layers from a cache of activations, with C = 1.

- layerscope: `probe_layers`, as the rule `probe` calls it.
- plain: a layer at a time, `StandardScaler` and scikit-learn's `LogisticRegression` with as many
  iterations of its default solver, L-BFGS.
- newton-cholesky: the same with that solver.
- limit: a float32 matrix product, against one product of all vectors with themselves, n d^2
  operations a layer, the least that the solver does.

A turn is a layer: the ways take turns from layer to layer, and spreads are over layers.

    python benchmarks/stage_linear.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made
import measure
import numpy as np
import numpy.typing as npt
import stage
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from stage_svm import timed

from layerscope.analysis.probing import logistic
from layerscope.analysis.probing.features import standardise
from layerscope.analysis.probing.run import probe_layers
from layerscope.config.probes import LinearProbe
from layerscope.core.formats import activation_metadata, read_keys, read_layer
from layerscope.statistics import metrics

Codes = npt.NDArray[np.int64]
Answers = tuple[Codes, Codes]  # of true and control labels

#: Layers, rows of training and test, width, classes.
SIZES = {"full": (13, 9000, 4000, 768, 3), "smoke": (3, 300, 200, 32, 3)}
TOLERANCE = 0.002  # of the objective
SOLVERS = {"plain": "lbfgs", "newton-cholesky": "newton-cholesky"}
WAYS = ("layerscope", *SOLVERS)


class Cache:
    """Files of training and test, and their labels."""

    def __init__(self, train: Path, test: Path) -> None:
        self.train, self.test = train, test
        names = activation_metadata(train)["labels"]
        self.classes = len(names)
        self.labels = metrics.encode(read_keys(train)["label"], names)
        self.truth = metrics.encode(read_keys(test)["label"], names)


def layers_of(cache: Cache) -> Iterator[dict[str, float]]:
    """Metrics of layerscope's probe, a layer at a time, without the fits for code length."""
    probe = LinearProbe(kind="linear", inverse_regularisation=1.0, code_length=False, row_draws=0)
    for probed in probe_layers(cache.train, cache.test, probe, "nli"):
        yield probed.values


def plain(cache: Cache, layer: int, solver: str) -> tuple[Codes, float]:
    """Answers of scikit-learn, and its objective."""
    scaler = StandardScaler()
    vectors = scaler.fit_transform(read_layer(cache.train, layer))
    test = scaler.transform(read_layer(cache.test, layer))
    model = LogisticRegression(solver=solver, max_iter=LinearProbe(kind="linear").max_iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors, cache.labels)
    weights = np.concatenate([model.coef_, model.intercept_[:, None]], axis=1)
    return model.predict(test), objective(vectors, cache.labels, weights)


def own_objective(cache: Cache, layer: int) -> float:
    """Layerscope's objective, by the solver that its probe calls."""
    vectors, _ = standardise(read_layer(cache.train, layer), read_layer(cache.test, layer))
    parameters, _ = logistic.fit(vectors, [cache.labels], cache.classes)
    return objective(vectors, cache.labels, parameters[0])


def objective(vectors: made.Vectors, labels: Codes, parameters: npt.NDArray[Any]) -> float:
    """What both minimise: mean loss and penalty, C = 1."""
    scores = vectors @ parameters[:, :-1].T.astype(np.float32) + parameters[:, -1]
    scores = scores - scores.max(axis=1, keepdims=True)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]
    return float(losses.mean() + (parameters[:, :-1] ** 2).sum() / (2 * len(labels)))


def accuracy(answers: Codes, truth: Codes) -> float:
    """Share of right answers."""
    return float(np.mean(answers == truth))


def measured(cache: Cache, layers: int) -> tuple[dict[str, list[float]], list[dict[str, float]]]:
    """Seconds of each way by layer, and what it found there."""
    ours = layers_of(cache)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    found = []
    for layer in range(layers):
        results: dict[str, Any] = {}
        ways: dict[str, Callable[[], Any]] = {
            "layerscope": lambda: next(ours),
            **{
                name: lambda layer=layer, solver=solver: plain(cache, layer, solver)
                for name, solver in SOLVERS.items()
            },
        }
        for name in WAYS if layer % 2 == 0 else reversed(WAYS):
            results[name], taken = timed(ways[name])
            seconds[name].append(taken)
        own = own_objective(cache, layer)
        found.append({"layerscope": results["layerscope"]["accuracy"]})
        for name in SOLVERS:
            answers, reached = results[name]
            found[-1][name] = accuracy(answers, cache.truth)
            found[-1][f"objective above {name}"] = own - reached
    return seconds, found


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    layers, rows, others, width, classes = SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        files = made.write_cache(Path(folder), layers, width, classes, rows, others)
        cache = Cache(*files)
        for solver in SOLVERS.values():
            plain(cache, 0, solver)  # imports, and the files in memory
        own_objective(cache, 0)
        begun = time.perf_counter()
        seconds, found = measured(cache, layers)
        total = time.perf_counter() - begun
    column = {name: np.asarray([each[name] for each in found]) for name in found[0]}
    resolution = 0.5 / float(np.sqrt(others))  # standard error of an accuracy, at most
    equal = {}
    for name in SOLVERS:
        ours, theirs = column["layerscope"], column[name]
        above = np.maximum(column[f"objective above {name}"], 0)
        equal |= stage.equal(f"accuracy by layer, {name}", ours, theirs, resolution)
        equal |= stage.equal(f"objective above that of {name}", above, np.zeros(layers), TOLERANCE)
    figures = {name: stage.way(1, taken, "fits/s") for name, taken in seconds.items()}
    ratios = {
        f"layerscope / {name}": measure.ratio(seconds[name], seconds["layerscope"])
        for name in SOLVERS
    }
    product, operations = stage.product(size)
    least = rows * width**2 / operations
    limit = measure.take_turns({"product": product}, 3)["product"]
    return {
        "stage": "linear",
        "shape": f"{layers} layers, {rows} x {width} training and {others} test rows, {classes} "
        "classes, made up, float16 cache",
        "equal": equal,
        "ways": figures,
        "ratios": ratios,
        "limit": {
            "layerscope, of one product of the vectors with themselves": measure.spread(
                [least * min(limit) / taken for taken in seconds["layerscope"]]
            )
        },
        "goal": "one pass over the cache, 10 x one-at-a-time scikit-learn at equal accuracy",
        "reached": bool(ratios["layerscope / plain"]["median"] >= 10),
        "notes": f"mean accuracy: layerscope {column['layerscope'].mean():.4f}, plain "
        f"{column['plain'].mean():.4f}; layerscope's objective is lower by "
        f"{float(-column['objective above plain'].mean()):.5f}; all in {total:.0f} s",
    }


if __name__ == "__main__":
    stage.main(run)
