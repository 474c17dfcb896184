"""The cache of activations: how fast it is written and read, and the memory that takes.

- layerscope: `ActivationWriter` (fixed-size binary cells of float16) and `read_layer`.
- plain: the same columns as lists of float16 through pyarrow, uncompressed as well.
- limit: numpy's own files, one a layer, float16.

All take float32 vectors, write float16, and read one layer as float32, on one core; rates are of
the bytes of float16 vectors. Memory is that of a process of its own for each number of rows.

    python benchmarks/stage_cache.py [--smoke] [--out FILE]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cache_child
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import stage
from cache_child import BLOCK, LAYERS, blocks, keys, vectors, write
from measure import take_turns

from layerscope.core.formats import layer_column, read_layer

#: Rows and width of the files whose speed is measured.
SPEED = {"full": (15_000, 768), "smoke": (600, 64)}
#: Rows and width of those whose memory is.
MEMORY = {"full": ((10_000, 100_000, 1_000_000), 64), "smoke": ((200, 2_000), 16)}
TURNS = {"full": 5, "smoke": 2}
READ = LAYERS // 2  # the layer that is read

Vectors = npt.NDArray[np.float32]


def write_lists(path: Path, rows: int, names: dict[str, list[Any]], block: Vectors) -> None:
    """Parquet with a column of lists of float16 a layer."""
    cell = pa.list_(pa.float16(), block.shape[2])
    writer = None
    for count in blocks(rows):
        stored = block[:count].astype(np.float16)
        columns: dict[str, Any] = {name: values[:count] for name, values in names.items()}
        for layer in range(LAYERS):
            flat = pa.array(np.ascontiguousarray(stored[:, layer]).reshape(-1))
            columns[layer_column(layer)] = pa.FixedSizeListArray.from_arrays(flat, type=cell)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="none")
        writer.write_table(table)
    assert writer is not None
    writer.close()


def read_lists(path: Path) -> Vectors:
    """One layer of what `write_lists` wrote."""
    name = layer_column(READ)
    column = pq.read_table(path, columns=[name]).column(name).combine_chunks()
    width = column.type.list_size
    return column.values.to_numpy(zero_copy_only=False).reshape(-1, width).astype(np.float32)


def write_arrays(folder: Path, rows: int, block: Vectors) -> None:
    """A file of float16 a layer, and no keys."""
    files = [(folder / f"{layer:02d}.bytes").open("wb") for layer in range(LAYERS)]
    for count in blocks(rows):
        stored = block[:count].astype(np.float16)
        for layer, file in enumerate(files):
            np.ascontiguousarray(stored[:, layer]).tofile(file)
    for file in files:
        file.close()


def read_arrays(folder: Path, width: int) -> Vectors:
    """One layer of what `write_arrays` wrote."""
    stored = np.fromfile(folder / f"{READ:02d}.bytes", np.float16)
    return stored.reshape(-1, width).astype(np.float32)


def memory(folder: Path, sizes: tuple[int, ...], width: int) -> dict[str, dict[str, float]]:
    """Peak memory of writing and of reading one layer, by number of rows; MB."""
    found = {}
    for rows in sizes:
        path = folder / f"{rows}.parquet"
        measured = {
            what: json.loads(
                subprocess.run(
                    [sys.executable, cache_child.__file__, what, str(rows), str(width), str(path)],
                    check=True,
                    capture_output=True,
                    text=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                ).stdout
            )
            for what in ("write", "read")
        }
        found[f"{rows} rows"] = {
            "write, peak MB": measured["write"]["peak_mb"],
            "read, peak MB": measured["read"]["peak_mb"],
            "before, MB": measured["read"]["start_mb"],
            "a layer as read, MB": rows * width * 4 / 2**20,
            "write, seconds": measured["write"]["seconds"],
        }
        path.unlink()
    return found


def run(size: str) -> dict[str, Any]:
    """Measure; `size` is "full" or "smoke"."""
    rows, width = SPEED[size]
    sizes, narrow = MEMORY[size]
    count = min(BLOCK, rows)
    names, block = keys(count), vectors(count, width)
    threads = pa.cpu_count()
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        ours, lists = folder / "layerscope.parquet", folder / "lists.parquet"
        writing: dict[str, Callable[[], Any]] = {
            "layerscope": lambda: write(ours, rows, names, block),
            "plain": lambda: write_lists(lists, rows, names, block),
            "limit": lambda: write_arrays(folder, rows, block),
        }
        reading: dict[str, Callable[[], Any]] = {
            "layerscope": lambda: read_layer(ours, READ),
            "plain": lambda: read_lists(lists),
            "limit": lambda: read_arrays(folder, width),
        }
        for each in writing.values():
            each()
        expected = read_arrays(folder, width)
        same = {
            **stage.equal("read: layerscope, numpy", read_layer(ours, READ), expected, 0.0),
            **stage.equal("read: plain, numpy", read_lists(lists), expected, 0.0),
        }
        written = take_turns(writing, TURNS[size], warm_up=False)
        read = take_turns(reading, TURNS[size])
        for path in folder.iterdir():
            path.unlink()
        pa.set_cpu_count(threads)
        peaks = memory(folder, sizes, narrow)
    layer_mb = rows * width * 2 / 1e6
    ways = {
        f"{verb}: {name}": stage.way(amount, seconds[name], "MB/s")
        for verb, amount, seconds in (
            ("write", layer_mb * LAYERS, written),
            ("read a layer", layer_mb, read),
        )
        for name in seconds
    }
    verbs = ("write", "read a layer")
    ratios = {
        f"{verb}: layerscope / plain": stage.faster(
            ways[f"{verb}: layerscope"], ways[f"{verb}: plain"]
        )
        for verb in verbs
    }
    limit = {
        verb: stage.faster(ways[f"{verb}: layerscope"], ways[f"{verb}: limit"]) for verb in verbs
    }
    growth = [peaks[f"{number} rows"]["write, peak MB"] for number in (sizes[0], sizes[-1])]
    return {
        "stage": "cache",
        "shape": f"speed: {rows} words, {LAYERS} layers, {width} wide; memory: {LAYERS} layers, "
        f"{narrow} wide, {', '.join(map(str, sizes))} words",
        "equal": same,
        "ways": ways,
        "ratios": ratios,
        "limit": limit,
        "memory": peaks,
        "goal": "write 300 MB/s, read a layer 500 MB/s, memory of writing within 10 % from "
        f"{sizes[0]} to {sizes[-1]} words",
        "reached": ways["write: layerscope"]["rate"]["median"] >= 300
        and ways["read a layer: layerscope"]["rate"]["median"] >= 500
        and growth[1] <= 1.1 * growth[0],
        "notes": "bytes of float16 vectors; one core; keys are written by layerscope and plain; "
        f"{BLOCK} words in memory at a time; a layer that is read is in "
        "memory as a whole, so reading grows with the rows",
    }


if __name__ == "__main__":
    stage.main(run)
