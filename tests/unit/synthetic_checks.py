"""Made-up results of the analyses that change a fine-tuned model, or read it, or its layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from layerscope.core.formats import SCHEMAS, write_table
from layerscope.core.formats.pointwise import Pointwise, write_pointwise

METRICS = {"nli": ("accuracy", "macro_f1"), "ner": ("entity_f1", "token_macro_f1")}


def interventions(
    folder: Path, task: str, kind: str, model: str, variant: str, blocks: int, score: float,
    rng: np.random.Generator,
) -> Path:  # fmt: skip
    changes: list[tuple[dict[str, object], float]] = [({"intervention": "none"}, 0.0)]
    for ablation, shares in (("zero", (10, 25, 50)), ("mean", (25,))):
        for share in shares:
            lost = -0.006 * share * (1 if ablation == "zero" else 0.5)
            known: dict[str, object] = {"ablation": ablation, "share": share}
            changes.append((known | {"intervention": "heads-most"}, lost))
            changes.append((known | {"intervention": "heads-least"}, 0.1 * lost))
            for draw in range(2):
                changes.append((known | {"intervention": "heads-random", "draw": draw}, 0.4 * lost))
    for fitted in ("read", "mean"):
        for layer in range(1, blocks + 1):
            depth = layer / blocks
            known = {"fitted": fitted, "layer": layer, "edit": 0.3, "probe": 0.35}
            known |= {"probe_before": 0.4 + 0.3 * depth, "probe_chance": 0.33}
            changes.append((known | {"intervention": "erased"}, -0.3 * depth))
            control = known | {"intervention": "erased-control", "probe": 0.38 + 0.3 * depth}
            changes.append((control, -0.02))
    rows = []
    for known, change in changes:
        for metric in METRICS[kind]:
            found = change + (0.01 * rng.standard_normal() if change else 0)
            every = dict.fromkeys(SCHEMAS["intervention"]) | known
            rows.append(every | {"metric": metric, "value": score + found, "change": found})
    path = folder / "interventions" / task / model / f"{variant}.parquet"
    write_table(path, "intervention", rows)
    return path


def patching(
    folder: Path, task: str, kind: str, model: str, variant: str, last: int, score: float
) -> Path:
    """The model before scores 0.3; each block owes as much as its number, embeddings nothing."""
    gained, total = score - 0.3, last * (last + 1) / 2
    changes: list[tuple[dict[str, object], float]] = []
    for direction, own, sign in (("into-finetuned", score, -1), ("into-pretrained", 0.3, 1)):
        put = {"direction": direction, "own": own}
        changes.append((put | {"patch": "none"}, 0.0))
        for layer in range(last + 1):
            owed = {"one-layer": layer, "up-to-layer": layer * (layer + 1) / 2}
            changes += [
                (put | {"patch": patch, "layer": layer}, sign * gained * each / total)
                for patch, each in owed.items()
            ]
    for at in (0.0, 0.25, 0.5, 0.75, 1.0):
        changes.append(({"patch": "line", "weight": at, "own": score}, gained * (at**2 - 1)))
    rows = [
        {name: known.get(name) for name in SCHEMAS["patch"]}
        | {"metric": metric, "value": known["own"] + change, "change": change}
        for known, change in changes
        for metric in METRICS[kind]
    ]
    path = folder / "patching" / task / model / f"{variant}.parquet"
    write_table(path, "patch", rows)
    return path


def head_lens(
    folder: Path, task: str, kind: str, model: str, variant: str, blocks: int, score: float
) -> Path:
    """The tuned lens is the model after half of the layers, the plain one at the last alone."""
    found: list[tuple[str, int | None, float]] = [("none", None, 1.0)]
    for layer in range(blocks + 1):
        depth = layer / blocks
        found += [("plain", layer, 0.3 + 0.7 * depth**3), ("shuffled", layer, 0.3)]
        found.append(("tuned", layer, min(1.0, 0.5 + depth)))
    rows: list[dict[str, object]] = []
    for lens, layer, agreement in found:
        values = dict.fromkeys(METRICS[kind], score * agreement)
        if layer is not None:
            values |= {"agreement": agreement, "kl": 1 - agreement}
        known = {"lens": lens, "layer": layer}
        rows += [known | {"metric": metric, "value": value} for metric, value in values.items()]
    path = folder / "head_lens" / task / model / f"{variant}.parquet"
    write_table(path, "head_lens", rows)
    return path


def head_importance(
    folder: Path, task: str, model: str, variant: str, shape: tuple[int, int]
) -> Path:
    """The last head of a layer matters most, and heads of later layers more."""
    blocks, heads = shape
    rng = np.random.default_rng(list(f"{task} {model} {variant}".encode()))
    examples = [f"e{number}" for number in range(5)]
    rows = [
        {
            "example_id": example,
            "layer": layer,
            "head": head,
            "key_value_head": head,
            "gradient": layer * (0.1 + head / heads) * rng.standard_normal(),
        }
        for example in examples
        for layer in range(1, blocks + 1)
        for head in range(heads)
    ]
    path = folder / "head_importance" / task / model / f"{variant}.parquet"
    write_table(path, "head_importance", rows)
    return path


def is_described(variant: str, percents: Sequence[int]) -> bool:
    """Whether a study describes a variant's representations: of the largest fraction, or none."""
    return not variant.startswith("f") or variant.startswith(f"f{max(percents)}-")


def quality(
    folder: Path, task: str, model: str, variant: str, blocks: int, gain: float, texts: int = 4
) -> Path:
    """Fine-tuning takes entropy from the last layers and adds invariance."""
    rows: list[dict[str, object]] = []
    for layer in range(blocks + 1):
        depth = layer / blocks
        values = {
            "dataset_entropy": 0.8 - (0.3 + gain) * depth**2,
            "effective_rank": 90 - 60 * depth,
        }
        of_texts = {"prompt_entropy": 0.9 - 0.4 * depth, "curvature": 120 - 30 * depth,
                    "invariance": 0.6 + (0.1 + gain) * depth}  # fmt: skip
        known = {"layer": layer}
        rows += [known | {"measure": name, "value": value} for name, value in values.items()]
        rows += [
            known | {"measure": name, "value": value * (1 + 0.02 * text), "text": text}
            for name, value in of_texts.items()
            for text in range(texts)
        ]
    path = folder / "representation_quality" / task / model / f"{variant}.parquet"
    write_table(path, "representation_quality", [{"text": None, **row} for row in rows])
    return path


def usable_information(
    folder: Path, task: str, kind: str, model: str, variant: str, last: int, gain: float
) -> Path:
    """Each layer gives more bits than the one before, fine-tuned ones most; half of them linear."""
    rng, places = np.random.default_rng(6), np.arange(last + 1) / last
    labels = [("yes", "no")[row % 2] for row in range(60)]
    names = [f"e{row}" for row in range(60)]
    keys = {"example_id": names, "group_id": names, "word_index": [0] * 60, "label": labels}
    keys |= {"label_bits": np.ones(60, np.float32)}
    rows: list[dict[str, object]] = []
    blocks = []
    for view in ("separate", "joint") if kind == "nli" else ("word",):
        for family, share in (("linear", 0.5), ("mlp", 1.0)):
            means = share * (0.1 + (0.3 + max(gain, -0.2)) * places)
            bits = (means + 0.3 * rng.standard_normal((60, last + 1))).astype(np.float32)
            blocks.append(Pointwise((view, family), keys, bits))
            for layer, mean in enumerate(bits.mean(axis=0, dtype=np.float64)):
                values = {("true", draw): mean + 0.01 * draw for draw in range(3)}
                values["permuted", 0] = -0.01
                known = {"view": view, "family": family, "layer": layer}
                rows += [
                    known | {"labels": labels, "draw": draw, "value": value}
                    for (labels, draw), value in values.items()
                ]
    path = folder / "usable_information" / task / model / f"{variant}.parquet"
    write_table(path, "usable_information", rows)
    write_pointwise(path.with_suffix(".pointwise.parquet"), blocks, last + 1, {})
    return path
