"""A finished study as a notebook reads it: tables as data frames, names of all that it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from layerscope import catalogue
from layerscope.config.jobs import all_variants, analyses
from layerscope.config.load import validate
from layerscope.config.schema import Study
from layerscope.config.targets import CONFIGURATION
from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.core.formats.dictionary import TABLE, columns_of
from layerscope.core.table_files import read_frame
from layerscope.interface.places import require_study

if TYPE_CHECKING:
    import pandas as pd

#: What a table needs that a study may lack, and why it would.
LACKING = {
    "models": "`similarity` is off, or there is only one model",
    "attention": "`attention` is null",
    "interventions": "`interventions` is null",
    "references": "`references` names no published values",
}


class OpenStudy:
    """A study's results. Nothing is read before it is asked for, and nothing is kept in memory.

    Attributes:
        folder: that the results are in.
        name: by which the study was run.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Find the study; arguments and errors as of `layerscope.open_study`."""
        _, self.name, self.folder = require_study(folder)

    def __repr__(self) -> str:
        return f"study {self.name} in {self.folder}, {len(self.tables)} tables"

    @cached_property
    def configuration(self) -> Study:
        """All its settings: `study.configuration.models["minilm"].architecture`.

        Raises:
            UserError: another version wrote them, and this one cannot read them.
        """
        return validate(read_json_object(self.folder / CONFIGURATION))

    @property
    def tasks(self) -> list[str]:
        """Names of its tasks."""
        return list(self.configuration.tasks)

    @property
    def models(self) -> list[str]:
        """Names of its models."""
        return list(self.configuration.models)

    @property
    def variants(self) -> list[str]:
        """Names of the variants of each model: `pretrained`, `random-s0`, `f10-s1`, ..."""
        return all_variants(self.configuration)

    @property
    def tables(self) -> list[str]:
        """Names of the tables that are there."""
        return [name for name in _all_tables() if self._file(name).is_file()]

    def table(
        self, name: str, task: str | None = None, measures: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Rows of a table; null is None in text and NaN in numbers, which are then floats.

        Args:
            name: one of `tables`.
            task: whose rows to read; None for all.
            measures: values of the column `measure` to read; None for all.

        Raises:
            UserError: no table has this name, the study does not have it, or not this task.
        """
        self._require(name)
        if not self._file(name).is_file():
            raise UserError(self._why_missing(name))
        columns = [column.name for column in columns_of(name)]
        for column, asked in (("task", task), ("measure", measures)):
            if asked is not None and column not in columns:
                raise UserError(
                    f"table '{name}': no column '{column}'; allowed: {', '.join(columns)}"
                )
        return read_frame(self._file(name), f"{name}{TABLE}", task, measures)

    def describe(self, name: str) -> pd.DataFrame:
        """What each column of a table holds: type, meaning, unit, range, and when it is null.

        Raises:
            UserError: no table has this name.
        """
        import pandas as pd

        self._require(name)
        rows = [
            (each.name, each.type, each.about, each.unit, each.allowed, each.null)
            for each in columns_of(name)
        ]
        names = ["column", "type", "about", "unit", "range", "null"]
        return pd.DataFrame(rows, columns=names).set_index("column")

    def _file(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.parquet"

    def _require(self, name: str) -> None:
        if name not in _all_tables():
            raise UserError(f"no table '{name}'; allowed: {', '.join(self.tables)}")

    def _why_missing(self, name: str) -> str:
        """Why a known table is not there, in a line."""
        (entry,) = (table for table in catalogue.TABLES if name in table.names)
        lacking = [need for need in entry.needs if need not in analyses(self.configuration)]
        where = f"{self.folder / CONFIGURATION}"
        if not lacking:
            return f"table '{name}' has not been made yet; run the study to its end"
        reason = LACKING.get(lacking[0], f"`analyses.{lacking[0]}` is off")
        return f"study {self.name} has no table '{name}': {reason} in {where}"


def _all_tables() -> list[str]:
    return [name for table in catalogue.TABLES for name in table.names]
