"""Tables and figures of made-up results, made with the programs, as the rules do."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
from synthetic_results import LABELS, METRICS_OF, MODELS, TASKS, write_study

from layerscope import catalogue
from layerscope.core.formats import read_table, write_table
from layerscope.core.table_files import read_frame
from layerscope.evaluation.significance import families

#: What the made-up study has: everything but published values.
CHOSEN = {
    *catalogue.SWITCHES,
    *("models", "attention", "interventions", "adapter-pairs", "training-repeats"),
    "pretrained-here",
}
#: Names of the made-up files that a table is made from as a whole.
FILES = {"scores": "scores", "pretraining": "evaluations"}
SETTINGS = json.dumps({"resamples": 200, "confidence": 0.95, "seed": 0})


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a data frame, with None in place of NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def rows(study: dict[str, Path], name: str, task: str | None = None) -> pd.DataFrame:
    return read_frame(study[name], f"{name}-table", task)


def run_program(name: str, *arguments: Any) -> None:
    """Call a program's `main` as the command line would."""
    with mock.patch.object(sys, "argv", [name, *map(str, arguments)]):
        importlib.import_module(name).main()


def _differences(scores: Path) -> list[dict[str, Any]]:
    """Of made-up scores: every other comparison is significant."""
    rows = read_table(scores, "scores-table").to_pylist()
    least = min(row["percent"] for row in rows)
    most = max(row["percent"] for row in rows)
    found = []
    for task, metric in dict.fromkeys((r["task"], METRICS_OF[r["metric"]]) for r in rows):
        values = {
            (row["model"], row["percent"]): row["value"]
            for row in rows
            if (row["task"], row["metric"]) == (task, metric)
        }
        for family in families([key for key in values if key[1] in (least, most)]):
            for number, (one, other) in enumerate(family):
                change = values[other] - values[one]
                found.append(
                    {"task": task, "metric": metric, "model": one[0], "percent": one[1],
                     "other": other[0], "other_percent": other[1], "value": change,
                     "low": change - 0.04, "high": change + 0.04, "p": 0.01,
                     "holm": 0.02 if number % 2 else 0.4, "p_equivalent": 0.04,
                     "seeds": 2, "groups": 100}
                )  # fmt: skip
    return found


def _evaluation(scores: Path) -> list[dict[str, Any]]:
    """Of made-up scores: every value near the model's score, F1 of one class unknown."""
    found = []
    for row in read_table(scores, "scores-table").to_pylist():
        if row["architecture"] == "baseline" or row["metric"] not in METRICS_OF.values():
            continue
        keys = {name: row[name] for name in ("task", "model", "variant", "percent", "seed")}
        kind = "nli" if row["metric"] == "accuracy" else "ner"
        value = row["value"]
        measures: list[tuple[str, str | None, int | None, float | None]] = [
            ("ece", None, None, (1 - value) / 4), ("ece_calibrated", None, None, 0.02),
            ("brier", None, None, 1 - value),
        ]  # fmt: skip
        for place in range(4, 15):
            measures += [("bin_confidence", None, place, (place + 0.5) / 15),
                         ("bin_accuracy", None, place, ((place + 0.5) / 15) ** 1.2)]  # fmt: skip
        labels = [label for label in LABELS[kind] if label != "O"]
        measures += [("f1", label, None, value if at else None) for at, label in enumerate(labels)]
        if kind == "ner":
            measures += [(f"{name}_{novelty}", None, None, value * share)
                         for name in ("f1", "recall")
                         for novelty, share in (("seen", 1.2), ("unseen", 0.6))]  # fmt: skip
            measures.append(("f1_gap", None, None, value * 0.6))
        for name, label, place, number in measures:
            ends = (None, None) if number is None else (number - 0.03, number + 0.03)
            plain = name in ("ece_calibrated", "bin_confidence")
            found.append(
                {**keys, "measure": name, "label": label, "bin": place, "value": number,
                 "low": None if plain else ends[0], "high": None if plain else ends[1],
                 "n": 5 * (place or 20)}
            )  # fmt: skip
    return found


def _weight_change(scores: Path) -> list[dict[str, Any]]:
    """Of made-up scores: the higher a model's score, the further its weights have moved."""
    found = []
    for row in read_table(scores, "scores-table").to_pylist():
        if row["architecture"] == "baseline" or row["metric"] not in METRICS_OF.values():
            continue
        keys = {name: row[name] for name in ("task", "model", "variant", "percent", "seed")}
        for layer in range(3):
            for matrices in ("all", "attention", "feed-forward") if layer else ("all",):
                moved = row["value"] * layer / 20
                found += [
                    keys | {"layer": layer, "depth": layer / 2, "matrices": matrices,
                            "measure": measure, "value": value}
                    for measure, value in (("relative_change", moved), ("spectral_change", moved),
                                           ("stable_rank", 1 + layer))
                ]  # fmt: skip
    return found


def _variance(scores: Path) -> list[dict[str, Any]]:
    """Of made-up scores: every source adds a hundredth, of rows nothing is known."""
    found = []
    for task, model in _trained(scores):
        known = {"task": task, "model": model, "trainings": 4, "samples": 4, "mean": 0.5}
        for measure in ("score", "attention JSD"):
            found += [
                known | {"measure": measure, "source": source, "value": value,
                         "low": value and 0.005, "high": value and 0.03}
                for source, value in (("training seed", 0.01), ("training sample", 0.01),
                                      ("interaction", 0.01), ("one training", 0.02),
                                      ("test examples", 0.01), ("probe rows", None))
            ]  # fmt: skip
    return found


def _variance_differences(scores: Path) -> list[dict[str, Any]]:
    """Of made-up scores: the first model of each task and every other."""
    pairs = [
        (task, one, other)
        for task, one in _trained(scores)
        for of, other in _trained(scores)
        if of == task and one < other
    ]
    return [
        {"task": task, "model": one, "other": other, "measure": measure, "value": -0.04,
         "low": -0.06, "high": -0.02, "p": 0.001, "p_corrected": 0.004, "not_drawn": None,
         "chance": 0.055}
        for task, one, other in pairs
        for measure in ("score", "attention JSD")
    ]  # fmt: skip


def _trained(scores: Path) -> list[tuple[str, str]]:
    """Tasks and models that are no baselines."""
    rows = read_table(scores, "scores-table").to_pylist()
    found = [(r["task"], r["model"]) for r in rows if r["architecture"] != "baseline"]
    return list(dict.fromkeys(found))


#: Tables that are made up whole: what they are of, predictions and weights, is not made up.
_FROM_SCORES = {
    "significance": _differences,
    "error_analysis": _evaluation,
    "weight_change": _weight_change,
    "variance": _variance,
    "variance-differences": _variance_differences,
}


def settings_for(models: dict[str, dict[str, str]]) -> dict[str, str]:
    """Settings of tables by name: no models are related, but the second is the first's adapter."""
    statistics, names = json.loads(SETTINGS), list(models)
    return {
        "statistics": SETTINGS,
        "models": json.dumps(models),
        "association": json.dumps({**statistics, "families": {name: name for name in names}}),
        "adapters": json.dumps({**statistics, "pairs": [names[:2]] if names[1:] else []}),
    }


def tabulate(
    files: dict[str, list[Path]], models: dict[str, dict[str, str]], out: Path
) -> dict[str, Path]:
    """Make all tables with the programs, as the rules do; paths by name of the table."""
    settings = settings_for(models)
    made = {name: out / f"{name}.parquet" for name in catalogue.table_names(CHOSEN)}
    for table in catalogue.planned(catalogue.TABLES, CHOSEN):
        if table.name in _FROM_SCORES:
            for name in table.names:
                write_table(made[name], f"{name}-table", _FROM_SCORES[name](made["scores"]))
        elif table.module:
            given = [f"{name}={made[name]}" for name in (*table.inputs, *table.optional)]
            run_program(
                "make_table", table.module, *files.get(FILES.get(table.name, ""), []),
                *(["--inputs", *given] if given else []),
                *(["--settings", settings[table.settings]] if table.settings else []),
                "--out", *(f"{name}={made[name]}" for name in table.names), "--csv",
            )  # fmt: skip
        else:
            parts = _parts(table, files[table.name], made) if table.part else files[table.name]
            kind = f"{table.name}-table"
            run_program("join_tables", "--kind", kind, "--parts", *parts, "--out", made[table.name])
    return made


def _parts(table: catalogue.Table, files: list[Path], made: dict[str, Path]) -> list[Path]:
    """Parts of a table, each of a task and model, beside its folder."""
    above = 1 if table.name == "probes" else 0
    found: dict[Path, list[Path]] = {}
    for path in files:
        found.setdefault(path.parents[above].with_suffix(".parquet"), []).append(path)
    assert table.part
    settings = ["--settings", SETTINGS] if table.part.settings else []
    for part, paths in found.items():
        given = [f"training={made['training']}"] if table.name != "training" else []
        given += [f"attention={made['attention']}"] if table.name == "head_importance" else []
        inputs = ["--inputs", *given] if given else []
        out = f"{table.name}={part}"
        run_program("make_table", table.part.module, *paths, *inputs, *settings, "--out", out)
    return list(found)


def draw(name: str, tables: dict[str, Path], out: Path, task: str | None = None) -> None:
    """Draw a figure of the catalogue with the program."""
    (figure,) = [figure for figure in catalogue.FIGURES if figure.name == name]
    given = [f"{table}={tables[table]}" for table in figure.tables]
    of_task = ["--task", task] if task else []
    run_program("draw", name, *of_task, "--tables", *given, "--out", out)


#: Blocks and heads of the models of `make_tables`.
SHAPES = {"minilm": (3, 2), "gpt-mini": (2, 3)}


def make_tables(folder: Path) -> dict[str, Path]:
    """Tables by name of a study of two models, two tasks, two fractions and two seeds."""
    files = write_study(folder, TASKS, SHAPES, (10, 100), (1, 2))
    return tabulate(files, {model: MODELS[model] for model in SHAPES}, folder / "tables")
