"""Writing and reading tables of a known kind, checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layerscope.core.errors import UserError
from layerscope.core.files import canonical_json, whole_file
from layerscope.core.formats.dictionary import fields_of
from layerscope.core.formats.schemas import METADATA_KEY, SCHEMAS, VERSION

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "Sequence[Mapping[str, Any]] | Mapping[str, Any] | pa.Table | pd.DataFrame"


#: Each page carries a checksum of its bytes, which is verified when it is read.
CHECKSUMS = {"write_page_checksum": True}
VERIFIED = {"page_checksum_verification": True}


def _schema(kind: str, metadata: Mapping[str, Any]) -> pa.Schema:
    described = {"kind": kind, "format": VERSION, **metadata}
    return pa.schema(fields_of(kind), metadata={METADATA_KEY: canonical_json(described).encode()})


@contextmanager
def undamaged(path: str | Path) -> Iterator[None]:
    """Turn what pyarrow says of a damaged page of a file into one line.

    Raises:
        UserError: a page that is read in the block has another checksum than when it was written.
    """
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).partition("\n")[0]
        raise UserError(f"{path}: damaged ({first}); allowed: the file as it was written") from None


def write_blocks(
    path: str | Path, kind: str, blocks: Iterable[Rows], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a Parquet file of a known kind block by block, whole or not at all.

    Columns of a table carry what the data dictionary says of them (`fields_of`).

    Args:
        path, kind: the file, and a key of `SCHEMAS`.
        blocks: each a list of rows, a mapping of column name to values, a table or a data
            frame; none is kept.
        metadata: what readers should know besides kind and version; JSON.

    Raises:
        UserError: a number is not finite, or the dictionary lacks a column of the table.
    """
    schema = _schema(kind, metadata or {})
    writing = {"compression": "zstd", **CHECKSUMS}
    with whole_file(path) as partial, pq.ParquetWriter(partial, schema, **writing) as file:
        for rows in blocks:
            if isinstance(rows, Sequence):
                table = pa.Table.from_pylist(list(rows), schema=schema)
            else:
                table = pa.table({name: rows[name] for name in schema.names}, schema=schema)
            require_finite(path, table)
            file.write_table(table)


def require_finite(path: str | Path, table: pa.Table) -> None:
    """Stop where a column of numbers holds NaN or an infinity; what is not known is null.

    Raises:
        UserError: one does; column and row are named.
    """
    for name in table.schema.names:
        column = table[name].combine_chunks()
        if not pa.types.is_floating(column.type):
            continue
        wrong = pc.invert(pc.is_finite(column))
        if pc.any(wrong).as_py():
            row = pc.index(wrong, True).as_py()
            raise UserError(
                f"{path}: column '{name}', row {row}: {column[row].as_py()}; allowed: finite "
                "numbers, or null"
            )


def write_table(
    path: str | Path, kind: str, rows: Rows, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a Parquet file of a known kind from one block: see `write_blocks`."""
    write_blocks(path, kind, [rows], metadata)


def file_metadata(path: str | Path, kind: str) -> dict[str, Any]:
    """What a file says of itself.

    Raises:
        UserError: missing, not Parquet, not written by layerscope, another kind or version.
    """
    try:
        stored = pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a Parquet file ({error})") from None
    described = json.loads(stored.get(METADATA_KEY, b"{}"))
    found = (described.get("kind"), described.get("format"))
    if found != (kind, VERSION):
        raise UserError(
            f"{path}: kind {found[0]!r}, format {found[1]!r}; allowed: kind {kind!r}, "
            f"format {VERSION}"
        )
    return described


def read_table(
    path: str | Path,
    kind: str,
    columns: Sequence[str] | None = None,
    rows: pc.Expression | None = None,
) -> pa.Table:
    """Read a file of a known kind, checked.

    Args:
        path, kind: the file, and a key of `SCHEMAS`.
        columns, rows: names of columns, and which rows, to read; None for all.

    Raises:
        UserError: not of this kind, a column is missing or of another type, or a number is not
            finite.

    The tables of a study are `results/{study}/tables/{name}.parquet`, of the kind `{name}-table`.
    Here, one row of one:

    >>> row = {"model": "gpt", "corpus": "hpo", "objective": "clm", "step": 500}
    >>> row |= {"metric": "perplexity", "value": 12.5}
    >>> write_table("pretraining.parquet", "pretraining-table", [row])
    >>> read_table("pretraining.parquet", "pretraining-table").to_pandas()
      model corpus objective  step      metric  value
    0   gpt    hpo       clm   500  perplexity   12.5
    >>> read_table("pretraining.parquet", "pretraining-table", ["step"])["step"].to_pylist()
    [500]
    """
    file_metadata(path, kind)
    schema = pq.read_schema(path)
    for name, expected in SCHEMAS[kind].items():
        index = schema.get_field_index(name)
        if index < 0 or schema.field(index).type != expected:
            found = "missing" if index < 0 else str(schema.field(index).type)
            raise UserError(f"{path}: column '{name}' is {found}; allowed: {expected}")
    with undamaged(path):
        table = pq.read_table(
            path, columns=list(columns) if columns else None, filters=rows, **VERIFIED
        )
    require_finite(path, table)
    return table


def read_sample(data: str | Path, sample: str | Path, kind: str) -> pa.Table:
    """The rows of a prepared table whose ids a sample holds, in the order of the table.

    Raises:
        UserError: the sample names examples that the table does not have.
    """
    table = read_table(data, kind)
    wanted = read_table(sample, "sample").column("example_id").combine_chunks()
    chosen = table.filter(pc.is_in(table.column("example_id"), value_set=wanted))
    if chosen.num_rows != len(wanted):
        raise UserError(
            f"{sample}: {len(wanted)} examples, of which {data} has {chosen.num_rows}; "
            "allowed: ids of that table, each once"
        )
    return chosen
