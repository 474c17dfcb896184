"""The labels of a task, as its data have them and as a model learns them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa

from layerscope.core.formats import file_metadata
from layerscope.data.iob import merge_table, merged_labels


@dataclass(frozen=True)
class TaskLabels:
    """The kind of a task, the names of its labels, and its tag scheme."""

    kind: str
    names: list[str]  # as in the prepared tables: classes, or IOB2 tags
    merged: bool = False  # models learn types (`iob.merged_labels`) in place of IOB2 tags

    @classmethod
    def read(cls, path: str | Path, kind: str, merged: bool = False) -> Self:
        """The labels that a prepared table names.

        Raises:
            UserError: the file is no prepared table of this kind.
        """
        return cls(kind, file_metadata(path, kind)["labels"], merged)

    @property
    def learned(self) -> list[str]:
        """The labels that a model learns; their order numbers the outputs of its head.

        Raises:
            UserError: tags that cannot be merged.
        """
        return merged_labels(self.names) if self.merged else self.names

    def as_learned(self, table: pa.Table) -> pa.Table:
        """A prepared table with the labels that a model learns."""
        return merge_table(table) if self.merged else table
