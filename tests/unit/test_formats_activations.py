"""Files of activations: what goes in comes out, and nothing else is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import one_line

from layerscope.core import formats
from layerscope.core.errors import UserError

LAYERS, WIDTH = 3, 5


def keys(first: int, rows: int) -> dict[str, list[Any]]:
    return {
        "example_id": [f"e{(first + i) // 2}" for i in range(rows)],
        "group_id": [f"g{(first + i) // 4}" for i in range(rows)],
        "word_index": [(first + i) % 2 for i in range(rows)],
        "word": [f"w{first + i}" for i in range(rows)],
        "label": ["O" if i % 3 else "B-eye" for i in range(rows)],
    }


def vectors(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, LAYERS, WIDTH)).astype(np.float32)


def write(path: Path, blocks: list[np.ndarray], dtype: str = "float16") -> None:
    with formats.ActivationWriter(path, LAYERS, WIDTH, dtype, {"pooling": "mean"}) as writer:
        first = 0
        for block in blocks:
            writer.write(keys(first, len(block)), block)
            first += len(block)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_not_read(tmp_path: Path, value: float) -> None:
    path = tmp_path / "a.parquet"
    write(path, [vectors(4)], "float32")
    table = pq.read_table(path)
    cells = table["layer_01"].to_pylist()
    cells[2] = cells[2][:-4] + np.float32(value).tobytes()
    column = pa.array(cells, table.schema.field("layer_01").type)
    place = table.schema.get_field_index("layer_01")
    pq.write_table(table.set_column(place, table.schema.field(place), column), path)
    formats.read_layer(path, 0)
    with pytest.raises(UserError, match="layer 1, row 2: not finite") as caught:
        formats.read_layer(path, 1)
    one_line(caught, path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("sizes", [[7], [4, 1, 6], [3, 0, 2]])
def test_vectors_go_round(tmp_path: Path, dtype: str, sizes: list[int]) -> None:
    path = tmp_path / "a.parquet"
    blocks = [vectors(size, seed) for seed, size in enumerate(sizes)]
    write(path, blocks, dtype)
    expected = np.concatenate(blocks).astype(dtype).astype(np.float32)
    for layer in range(LAYERS):
        found = formats.read_layer(path, layer)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[:, layer])
    assert formats.read_keys(path) == {
        name: [v for f, n in zip(np.cumsum([0, *sizes]), sizes, strict=False)
               for v in keys(int(f), n)[name]]
        for name in keys(0, 0)
    }  # fmt: skip


def test_metadata_describes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [vectors(2)])
    assert formats.activation_metadata(path) == {
        "kind": "activations",
        "format": formats.VERSION,
        "layers": LAYERS,
        "width": WIDTH,
        "dtype": "float16",
        "pooling": "mean",
    }


def test_cells_are_the_bytes_of_the_vectors(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    block = vectors(4)
    write(path, [block])
    table = pq.read_table(path)
    assert table.column_names[5:] == ["layer_00", "layer_01", "layer_02"]
    for layer, name in enumerate(table.column_names[5:]):
        assert table.schema.field(name).type == pa.binary(WIDTH * 2)
        assert table.column(name).to_pylist() == [
            row.astype("<f2").tobytes() for row in block[:, layer]
        ]


def test_strided_and_wider_vectors_are_stored_right(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    wide = np.random.default_rng(1).normal(size=(WIDTH, LAYERS, 6))
    write(path, [wide.transpose(2, 1, 0)], "float32")
    for layer in range(LAYERS):
        np.testing.assert_array_equal(
            formats.read_layer(path, layer), wide[:, layer].T.astype(np.float32)
        )


def test_many_rows_in_several_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    blocks = [vectors(rows, rows) for rows in (2000, 1, 3000)]
    write(path, blocks)
    assert pq.ParquetFile(path).metadata.num_row_groups == len(blocks)
    expected = np.concatenate(blocks)[:, 1].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(formats.read_layer(path, 1), expected)


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [])
    assert formats.read_layer(path, 2).shape == (0, WIDTH)
    assert formats.read_keys(path)["example_id"] == []
    write(path, [vectors(0)])
    assert formats.read_layer(path, 2).shape == (0, WIDTH)


def test_one_layer_is_read_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    block = vectors(64)
    write(path, [block])
    # Overwrite every byte of the other layers: reading layer 1 must not notice.
    group = pq.ParquetFile(path).metadata.row_group(0)
    data = bytearray(path.read_bytes())
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema in ("layer_00", "layer_02", "word", "example_id"):
            start = column.dictionary_page_offset or column.data_page_offset
            data[start : start + column.total_compressed_size] = b"\xff" * (
                column.total_compressed_size
            )
    path.write_bytes(data)
    np.testing.assert_array_equal(
        formats.read_layer(path, 1), block[:, 1].astype(np.float16).astype(np.float32)
    )
    with pytest.raises(Exception, match=r"."):  # the damage is real
        formats.read_layer(path, 0)


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, [vectors(5), vectors(3, 1)])
    write(tmp_path / "other", [vectors(5), vectors(3, 2)])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    ("value", "dtype", "shown"),
    [
        (65_520.0, "float16", "65520"),  # the least that is rounded up
        (70_000.0, "float16", "70000"),
        (-70_000.0, "float16", "70000"),
        (np.inf, "float32", "inf"),
        (-np.inf, "float16", "inf"),
        (np.nan, "float32", "nan"),
        (np.nan, "float16", "nan"),
        (1e39, "float32", "1e+39"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_value_that_does_not_fit_is_refused(
    tmp_path: Path, value: float, dtype: str, shown: str
) -> None:
    block = vectors(6).astype(np.float64)
    block[3, 2, 4] = value
    with pytest.raises(UserError) as caught:
        write(tmp_path / "a.parquet", [vectors(4), block], dtype)
    message = str(caught.value)
    assert "example 'e3', layer 2" in message  # rows 4 to 9 in pairs: row 3 of them is e3
    assert f"{shown} does not fit {dtype}" in message
    assert "allowed: finite values" in message
    assert "\n" not in message
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [65_504.0, 65_519.0])  # the latter is rounded down
def test_the_largest_float16_fits(tmp_path: Path, value: float) -> None:
    block = vectors(1)
    block[0, 0, 0] = value
    write(tmp_path / "a.parquet", [block])
    assert formats.read_layer(tmp_path / "a.parquet", 0)[0, 0] == 65_504.0


def test_what_float16_refuses_float32_takes(tmp_path: Path) -> None:
    block = vectors(2)
    block[1, 1, 1] = 70_000.0
    write(tmp_path / "a.parquet", [block], "float32")
    np.testing.assert_array_equal(formats.read_layer(tmp_path / "a.parquet", 1), block[:, 1])


@pytest.mark.parametrize("shape", [(2, 2, 5), (2, 4, 5), (2, 3, 4), (2, 3, 10), (3, 3, 5)])
def test_vectors_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    def attempt() -> None:
        with formats.ActivationWriter(
            tmp_path / "a.parquet", LAYERS, WIDTH, "float16", {}
        ) as writer:
            writer.write(keys(0, 2), np.zeros(shape, np.float32))

    with pytest.raises(ValueError, match=r"vectors of shape .* allowed: \(2, 3, 5\)"):
        attempt()
    assert os.listdir(tmp_path) == []


def test_some_layers_keep_their_numbers(tmp_path: Path) -> None:
    path, block = tmp_path / "a.parquet", vectors(4)
    with formats.ActivationWriter(path, 9, WIDTH, "float32", {}, stored=[0, 4, 7]) as writer:
        writer.write(keys(0, 4), block)
    described = formats.activation_metadata(path)
    assert (described["layers"], formats.stored_layers(described)) == (9, [0, 4, 7])
    np.testing.assert_array_equal(formats.read_layer(path, 7), block[:, 2])
    with pytest.raises(UserError, match=r"no layer 2; allowed: 0, 4, 7$"):
        formats.read_layer(path, 2)
    with formats.ActivationWriter(
        path, 3, WIDTH, "float16", {"pooling": "mean"}, stored=[0, 1, 2]
    ) as writer:
        writer.write(keys(0, 4), block)
    write(tmp_path / "b.parquet", [block])
    assert path.read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize("layer", [-1, LAYERS])
def test_a_layer_that_is_not_there_gives_one_line(tmp_path: Path, layer: int) -> None:
    path = tmp_path / "a.parquet"
    write(path, [vectors(2)])
    with pytest.raises(UserError) as caught:
        formats.read_layer(path, layer)
    assert f"no layer {layer}; allowed: 0 to 2" in one_line(caught, path)


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [vectors(2)])
    before = path.read_bytes()

    def attempt() -> None:
        with formats.ActivationWriter(path, LAYERS, WIDTH, "float16", {}) as writer:
            writer.write(keys(0, 3), vectors(3))
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        attempt()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.parquet"]


def test_a_bit_that_flipped_is_no_vector(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    block = vectors(4)
    write(path, [block])
    content = bytearray(path.read_bytes())
    at = content.index(block[2, 1].astype("<f2").tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.parquet: damaged \(.*; allowed: the file as it was"):
        formats.read_layer(path, 1)
    np.testing.assert_array_equal(
        formats.read_layer(path, 0), block[:, 0].astype(np.float16).astype(np.float32)
    )


def test_a_word_that_changed_is_no_word(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, [vectors(4)])
    content = path.read_bytes()
    assert content.count(b"w2") == 1
    path.write_bytes(content.replace(b"w2", b"w9"))
    with pytest.raises(UserError, match=r"a\.parquet: damaged"):
        formats.read_keys(path)
