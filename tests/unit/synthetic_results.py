"""Made-up results of a study, written as the stages write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import synthetic_checks
from synthetic_checks import METRICS

from layerscope.core.files import write_json
from layerscope.core.formats import write_table
from layerscope.core.formats.probe_predictions import Answers, write_probe_predictions
from layerscope.core.table_files import variant_keys

#: Kinds of the tasks that tests make up results of.
TASKS = {"one-nli": "nli", "one-ner": "ner"}
MODELS = {
    "minilm": {"architecture": "encoder", "domain": "general"},
    "minilm-hpo": {"architecture": "encoder", "domain": "biomedical"},
    "gpt-mini": {"architecture": "decoder", "domain": "general"},
    "gpt-mini-hpo": {"architecture": "decoder", "domain": "biomedical"},
}
LABELS = {
    "nli": ["entailment", "neutral", "contradiction"],
    "ner": ["O", "nervous", "cardiovascular", "eye", "musculoskeletal", "neoplasm"],
}
METRICS_OF = {
    "accuracy": "accuracy",
    "macro_f1": "accuracy",
    "entity_f1": "entity_f1",
    "token_macro_f1": "entity_f1",
}
PROBES = {
    "nli": {
        "svm": ["separate", "joint"],
        "linear": ["separate", "joint", "premise", "hypothesis", "combined", "joint-last"],
    },
    "ner": {"linear": ["word"], "bilstm-crf": ["word"]},
}
BASELINES = {
    "nli": {"majority": 0.33, "bag-of-words": 0.56, "premise-only": 0.54, "hypothesis-only": 0.33},
    "ner": {"majority": 0.0, "bag-of-words": 0.41},
}


def write_study(
    folder: Path,
    tasks: dict[str, str],
    shapes: dict[str, tuple[int, int]],
    percents: Sequence[int],
    seeds: Sequence[int],
    examples: int = 6,
) -> dict[str, list[Path]]:
    """Write scores, probes, attention and evaluations of a study.

    Args:
        folder: to write to.
        tasks: kind (`nli` or `ner`) of each task.
        shapes: blocks and heads of each model.
        percents, seeds: of the fine-tuned variants.
        examples: in files of attention.

    Returns:
        The files of each kind: `scores`, `probes`, `attention`, `similarity`,
        `cross_model_similarity`, `interventions`, `patching`, `head_lens`, `head_importance`,
        `representation_quality`, `usable_information`, `evaluations`, `training` (models' folders).
    """
    rng = np.random.default_rng(5)
    kinds = (
        "scores", "probes", "attention", "similarity", "cross_model_similarity", "interventions",
        "patching", "head_lens", "head_importance", "representation_quality",
        "usable_information", "evaluations", "training",
    )  # fmt: skip
    files: dict[str, list[Path]] = {kind: [] for kind in kinds}
    for task, kind in tasks.items():
        for at, (model, shape) in enumerate(shapes.items()):
            skill = {
                (p, s): 0.45 + 0.05 * (at % 2) + 0.12 * (at < 2) + 0.07 * np.log(p) / np.log(10)
                + 0.02 * rng.standard_normal()
                for p in percents for s in seeds
            }  # fmt: skip
            files["scores"].append(_scores(folder, task, kind, model, skill, rng))
            files["training"] += [_training(folder, task, model, p, s) for p, s in skill]
            variants = {"pretrained": 0.0, "random-s0": -0.1, "random-s5": -0.12}
            variants |= {f"f{p}-s{s}": v - 0.45 for (p, s), v in skill.items()}
            for variant, gain in variants.items():
                files["probes"] += _probes(folder, task, kind, model, variant, shape[0], gain, rng)
                if synthetic_checks.is_described(variant, percents):
                    files["representation_quality"].append(
                        synthetic_checks.quality(folder, task, model, variant, shape[0], gain)
                    )
                files["similarity"].append(
                    _similarity(folder, task, kind, model, variant, shape[0], gain)
                )
                files["usable_information"].append(
                    synthetic_checks.usable_information(
                        folder, task, kind, model, variant, shape[0], gain
                    )
                )
                if not variant.startswith("random"):
                    ceiling = variant != "pretrained" and not variant.endswith(f"-s{seeds[0]}")
                    files["attention"].append(
                        _attention(
                            folder, task, model, variant, shape, gain, ceiling, examples, rng
                        )
                    )
            files["interventions"] += [
                synthetic_checks.interventions(
                    folder, task, kind, model, f"f{p}-s{s}", shape[0], skill[p, s], rng
                )
                for p, s in skill if p == max(percents)
            ]  # fmt: skip
            files["patching"] += [
                synthetic_checks.patching(
                    folder, task, kind, model, f"f{p}-s{s}", shape[0], skill[p, s]
                )
                for p, s in skill if p == max(percents)
            ]  # fmt: skip
            files["head_lens"] += [
                synthetic_checks.head_lens(
                    folder, task, kind, model, f"f{p}-s{s}", shape[0], skill[p, s]
                )
                for p, s in skill if p == max(percents)
            ]  # fmt: skip
            files["head_importance"] += [
                synthetic_checks.head_importance(folder, task, model, f"f{p}-s{s}", shape)
                for p, s in skill if p == max(percents)
            ]  # fmt: skip
        largest = [f"f{max(percents)}-s{seed}" for seed in seeds]
        for variant in ("pretrained", *largest):
            files["cross_model_similarity"].append(_models(folder, task, kind, shapes, variant))
        for model, value in BASELINES[kind].items():
            skill = {
                (p, s): value - (0.02 * (2 - np.log10(p)) if model == "bag-of-words" else 0)
                for p in percents for s in seeds
            }  # fmt: skip
            files["scores"].append(_scores(folder, task, kind, model, skill, rng))
    for model in list(shapes)[1:]:
        causal = model.startswith("gpt")
        steps = {0: 3900.0, 50: 420.0, 100: 210.0, 150: 183.0} if causal else {0: 31.2, 60: 13.4}
        path = folder / "evaluations" / f"{model}.json"
        write_json(
            path,
            {
                "model": model,
                "corpus": "hpo",
                "objective": "causal" if causal else "masked",
                "evaluations": [
                    {"step": step, "loss": float(np.log(value)), "perplexity": value}
                    for step, value in steps.items()
                ],
            },
        )
        files["evaluations"].append(path)
    return files


def _training(folder: Path, task: str, model: str, percent: int, seed: int) -> Path:
    """A fine-tuned model's folder: on the smallest fraction the loss stays that of guessing."""
    path = folder / "finetuned" / task / model / f"f{percent}-s{seed}"
    loss = 1.1 if percent < 50 else 0.4
    write_json(
        path / "history.json",
        {"steps": percent + 100, "epochs": 3, "examples": 2 * percent, "guessing_loss": 1.1,
         "final_loss": loss, "final_loss_error": 0.01, "validation_loss": loss},
    )  # fmt: skip
    return path


def _scores(
    folder: Path, task: str, kind: str, model: str, skill: dict[tuple[int, int], float],
    rng: np.random.Generator,
) -> Path:  # fmt: skip
    scores: list[dict[str, Any]] = []
    confusion: list[dict[str, Any]] = []
    for metric in METRICS[kind]:
        for percent in dict.fromkeys(p for p, _ in skill):
            values = [v for (p, _), v in skill.items() if p == percent]
            seeds = [s for p, s in skill if p == percent]
            entries = [(f"f{percent}-s{s}", s, v) for s, v in zip(seeds, values, strict=True)]
            means = [(f"f{percent}", None, float(np.mean(values)))] if len(values) > 1 else []
            for variant, seed, value in [*entries, *means]:
                scores.append(
                    {"variant": variant, "percent": percent, "seed": seed, "metric": metric,
                     "value": value, "low": value - 0.03, "high": value + 0.03}
                )  # fmt: skip
    labels = LABELS[kind]
    for (percent, seed), value in skill.items():
        for true in labels:
            size = 6000 if true == "O" else 150
            hit = 0.97 if true == "O" else value
            shares = [hit if p == true else (1 - hit) / (len(labels) - 1) for p in labels]
            counts = rng.multinomial(size, shares)
            confusion += [
                {"variant": f"f{percent}-s{seed}", "percent": percent, "seed": seed,
                 "label": true, "predicted": p, "count": int(c)}
                for p, c in zip(labels, counts, strict=True)
            ]  # fmt: skip
    path = folder / "scores" / task / f"{model}.json"
    write_json(path, {"task": task, "model": model, "kind": kind, "scores": scores,
                      "confusion": confusion})  # fmt: skip
    return path


def _probes(
    folder: Path, task: str, kind: str, model: str, variant: str, blocks: int, gain: float,
    rng: np.random.Generator,
) -> list[Path]:  # fmt: skip
    paths = []
    labels = LABELS["nli"] if kind == "nli" else ["O", *(f"B-{name}" for name in LABELS["ner"][1:])]
    true = np.arange(150) % len(labels)
    keys = {"example_id": [f"e{i}" for i in range(150)], "group_id": [f"g{i}" for i in range(150)],
            "label": [labels[code] for code in true]}  # fmt: skip
    for probe, views in PROBES[kind].items():
        rows, answers = [], []
        for view in views:
            seeds = (0, 1) if probe == "bilstm-crf" else (0,)
            codes = {seed: np.empty((150, blocks + 1), np.int16) for seed in seeds}
            for layer in range(blocks + 1):
                depth = layer / blocks
                value = 0.4 + 0.08 * np.sin(2.2 * depth) + max(gain, -0.05) * depth**2
                value = 0.34 if view == "hypothesis" else value
                metrics = [*METRICS[kind]]
                if kind == "ner" and probe == "linear":
                    metrics += ["accuracy", "control_accuracy", "selectivity"]
                for seed in seeds:
                    wrong = (true + rng.integers(1, len(labels), 150)) % len(labels)
                    codes[seed][:, layer] = np.where(rng.random(150) < value, true, wrong)
                    rows += [
                        {"rows": "validation", "view": view, "layer": layer, "metric": metric,
                         "value": value + 0.01 * rng.standard_normal(), "probe_seed": seed}
                        for metric in metrics
                    ]  # fmt: skip
            answers += [Answers(("validation", view, seed, 0), codes[seed]) for seed in seeds]
        path = folder / "probes" / task / model / variant / f"{probe}.parquet"
        write_table(path, "probe", rows)
        about = {"labels": labels, "kind_of_task": kind}
        predictions = path.with_suffix(".predictions.parquet")
        write_probe_predictions(predictions, keys, answers, blocks + 1, about)
        paths.append(path)
    return paths


def _similarity(
    folder: Path, task: str, kind: str, model: str, variant: str, blocks: int, gain: float
) -> Path:
    rows = []
    for view in ("separate", "joint") if kind == "nli" else ("word",):
        for layer in range(blocks + 1):
            depth = layer / blocks
            values = {"anisotropy": 0.2 + 0.5 * depth, "anisotropy_centred": 0.02 * depth}
            if variant != "pretrained":
                values["cka"] = (
                    0.1 if variant.startswith("random") else 1 - max(gain, 0.05) * 2 * depth**2
                )
                values["mutual_knn"], values["procrustes"] = values["cka"] ** 2, values["cka"] - 0.1
                values |= {"mutual_knn_null": 0.05, "procrustes_null": 0.4}
            rows += [
                {"view": view, "layer": layer, "measure": measure, "value": value}
                for measure, value in values.items()
            ]
    path = folder / "similarity" / task / model / f"{variant}.parquet"
    write_table(path, "similarity", rows)
    return path


def _models(
    folder: Path, task: str, kind: str, shapes: dict[str, tuple[int, int]], variant: str
) -> Path:
    rows = []
    names = list(shapes)
    for view in ("separate", "joint") if kind == "nli" else ("word",):
        for place, model in enumerate(names):
            for further, other in enumerate(names[place + 1 :], start=1):
                blocks = min(shapes[model][0], shapes[other][0])
                rows += [
                    {**variant_keys(task, model, variant), "view": view, "other": other,
                     "layer": layer, "other_layer": layer, "depth": layer / blocks,
                     "measure": measure,
                     "value": scale * (0.9 - 0.2 * further - 0.1 * layer / blocks)}
                    for layer in range(blocks + 1)
                    for measure, scale in (("cka", 1), ("mutual_knn", 0.6), ("procrustes", 0.8))
                ]  # fmt: skip
    path = folder / "cross_model_similarity" / task / f"{variant}.parquet"
    write_table(path, "cross_model_similarity-table", rows)
    return path


def _attention(
    folder: Path, task: str, model: str, variant: str, shape: tuple[int, int], gain: float,
    ceiling: bool, examples: int, rng: np.random.Generator,
) -> Path:  # fmt: skip
    measures = {"entropy": 2.5 + gain, "distance": 6.0, "special": 0.3 - 0.2 * gain, "first": 0.2}
    if variant != "pretrained":
        measures |= {"cosine": 1 - gain, "cosine_no_special": 1 - 1.2 * gain, "jsd": 0.5 * gain,
                     "jsd_no_special": 0.6 * gain, "cosine_null_head": 0.45,
                     "cosine_null_sentence": 0.55, "jsd_null_head": 0.4,
                     "jsd_null_sentence": 0.35}  # fmt: skip
    if ceiling:
        measures |= {"cosine_ceiling": 0.97, "jsd_ceiling": 0.02}
    blocks, heads = shape
    rows = []
    for example in range(examples):
        for layer in range(1, blocks + 1):
            for head in range(heads):
                for name, value in measures.items():
                    depth = layer / blocks
                    far = value * depth if name == "jsd" else value
                    if name == "cosine":
                        far = 1 - (1 - value) * depth**2 * (0.5 + head / heads)
                    rows.append(
                        {"example_id": f"e{example}", "layer": layer, "head": head,
                         "measure": name,
                         "value": far * (1 + 0.04 * rng.standard_normal())}
                    )  # fmt: skip
    path = folder / "attention" / task / model / f"{variant}.parquet"
    write_table(path, "attention", rows)
    return path
