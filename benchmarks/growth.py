"""How time and memory of extraction grow with examples, layers and the length of sequences.

Every point is a process of its own, which encodes made-up sequences of equal length with a small
encoder of random weights and writes the activations of all layers. Seconds are those of encoding
and writing; memory is the most that the process had. What a process takes before the first
sequence, mostly imports, is measured as well and stands in the figure as a line.

    python benchmarks/growth.py                  # benchmarks/results/growth.json, docs/images
    python benchmarks/growth.py --smoke --out FILE --figure FILE

The exponent of a curve is the slope of a line through logarithms; 1 is proportional, 0 is flat.
That of memory is of what comes on top of the line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from run import HERE, environment

BASE = {"examples": 1024, "layers": 4, "length": 32}
AXES = {
    "full": {
        "examples": [512, 1024, 2048, 4096, 8192, 16384],
        "layers": [2, 4, 8, 16, 32],
        "length": [16, 32, 64, 128, 256, 512],
    },
    "smoke": {"examples": [64, 128], "layers": [1, 2], "length": [8, 16]},
}
WIDTH, HEADS, VOCABULARY = 128, 4, 1000
NAMES = {"examples": "Examples", "layers": "Layers", "length": "Sub-words in a sequence"}
REPEATS = {"full": 3, "smoke": 1}


def child(examples: int, layers: int, length: int) -> dict[str, float]:
    """Encode and write, in this process.

    Returns:
        Seconds, MB at most, and MB before the first sequence.
    """
    import torch
    from transformers import BertConfig, BertModel

    from layerscope.config.extraction import Activations
    from layerscope.core.formats import ActivationWriter
    from layerscope.extraction.activations import BLOCK, sequence_vectors
    from layerscope.models.inputs import Encoded, SpecialTokens
    from layerscope.models.loaded import LoadedModel
    from layerscope.run_records.machine import peak_memory

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=layers,
        num_attention_heads=HEADS, intermediate_size=4 * WIDTH, max_position_embeddings=512,
    )  # fmt: skip
    model = BertModel(config).eval()
    rng = np.random.default_rng(0)
    special_tokens = SpecialTokens(
        before=[], between=[], after=[], pad=0, segments=False, spaced=False
    )
    loaded = LoadedModel(model, None, special_tokens, "encoder")  # type: ignore[arg-type]
    settings = Activations()

    def write(path: Path, examples: int) -> None:
        with ActivationWriter(path, layers + 1, WIDTH, "float16", {}) as writer:
            for start in range(0, examples, BLOCK):
                rows = range(start, min(start + BLOCK, examples))
                ids = rng.integers(1, VOCABULARY, (len(rows), length)).tolist()
                block = [Encoded(ids=each, second=length) for each in ids]
                names = [str(row) for row in rows]
                keys = {
                    "example_id": names, "group_id": names, "word_index": [0] * len(rows),
                    "word": [""] * len(rows), "label": ["none"] * len(rows),
                }  # fmt: skip
                writer.write(keys, sequence_vectors(loaded, block, settings))

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "first.parquet"), 1)  # what is imported or set up at first use
        before = peak_memory() or 0
        begun = time.perf_counter()
        write(Path(folder, "timed.parquet"), examples)
        seconds = time.perf_counter() - begun
    return {"seconds": seconds, "mb": (peak_memory() or 0) / 1e6, "mb before": before / 1e6}


def point(shape: dict[str, int], repeats: int) -> dict[str, Any]:
    """One point in processes of their own: medians, lowest and highest."""
    command = [sys.executable, str(HERE / "growth.py"), "--child", json.dumps(shape)]
    found = []
    for _ in range(repeats):
        ran = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
        found.append(json.loads(ran.stdout.splitlines()[-1]))
    return {
        name: {
            "median": float(np.median(values := [each[name] for each in found])),
            "low": min(values),
            "high": max(values),
        }
        for name in found[0]
    }


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of a line through logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(values, 1e-9)), 1)[0])


def _above(point: dict[str, Any]) -> float:
    """MB above what the process had before; at least one, which is below what can be told."""
    return max(point["mb"]["median"] - point["mb before"]["median"], 1.0)


def measure(size: str) -> dict[str, Any]:
    """All points of all axes, and the exponents."""
    found: dict[str, Any] = {"width": WIDTH, "base": BASE, "axes": {}}
    for axis, sizes in AXES[size].items():
        base = BASE if size == "full" else {name: each[0] for name, each in AXES["smoke"].items()}
        points = [point(base | {axis: value}, REPEATS[size]) for value in sizes]
        found["axes"][axis] = {
            "sizes": sizes,
            "points": points,
            "exponent of time": exponent(sizes, [each["seconds"]["median"] for each in points]),
            "exponent of memory": exponent(sizes, [_above(each) for each in points]),
        }
        print(f"{axis}: {found['axes'][axis]['exponent of time']:.2f}", file=sys.stderr)
    return found


def draw(found: dict[str, Any], path: Path) -> None:
    """Time above, memory below, an axis a column."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    from layerscope.core.looks import looks
    from layerscope.figures.style import GREY, PAGE, styled

    rows = {"seconds": ("Seconds", "time"), "mb": ("MB", "memory")}
    known = looks(list(rows))
    times = [p["seconds"] for each in found["axes"].values() for p in each["points"]]
    most = min(time["low"] for time in times), max(time["high"] for time in times)
    with styled():
        figure = Figure(figsize=(PAGE, 3.4), layout="constrained")
        grid = figure.subplots(2, len(found["axes"]), squeeze=False)
        for column, (axis, each) in enumerate(found["axes"].items()):
            for row, (name, (label, what)) in enumerate(rows.items()):
                axes, sizes = grid[row, column], each["sizes"]
                middle = [p[name]["median"] for p in each["points"]]
                ends = [[p[name][end] for p in each["points"]] for end in ("low", "high")]
                bars = np.abs(np.asarray(ends) - middle)
                axes.errorbar(
                    sizes, middle, yerr=bars, color=known[name].colour, marker=known[name].marker
                )
                axes.set_xscale("log", base=2)
                axes.set_xticks(sizes, [str(value) for value in sizes])
                axes.minorticks_off()
                if name == "seconds":
                    axes.set_yscale("log")
                    axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
                    axes.yaxis.set_minor_formatter(NullFormatter())
                    axes.set_ylim(most[0] / 1.5, most[1] * 1.5)
                else:
                    axes.axhline(each["points"][0]["mb before"]["median"], color=GREY, ls=":")
                    axes.set_ylim(0, 1.1 * max(ends[1]))
                    axes.set_xlabel(NAMES[axis])
                axes.set_title(f"{what}: exponent {each[f'exponent of {what}']:.2f}")
                if column == 0:
                    axes.set_ylabel(label)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Software": None})


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--child", type=json.loads, help="of one point; for this program itself")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "growth.json")
    parser.add_argument(
        "--figure", type=Path, default=HERE.parent / "docs" / "images" / "growth.png"
    )
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(child(**chosen.child)))
        return
    found = measure("smoke" if chosen.smoke else "full")
    chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    draw(found, chosen.figure)


if __name__ == "__main__":
    main()
