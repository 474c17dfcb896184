"""What an entry of the catalogue says of an analysis: its table, its figure, its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """A piece of a table with its own job, so that changing one model remakes one piece."""

    about: str
    module: str  # of layerscope, that computes it; `make_table` calls it by name
    by: tuple[str, ...] = ("task", "model")
    settings: str | None = None  # `statistics`, or `models`: what the configuration says of them


@dataclass(frozen=True)
class Table:
    """A table: joined from its parts, or computed whole by a module."""

    name: str
    about: str
    module: str | None = None  # of layerscope, that computes it; None if it is joined
    part: Part | None = None  # None if it is whole, or joined from what another rule makes
    inputs: tuple[str, ...] = ()  # tables that it is computed from
    optional: tuple[str, ...] = ()  # tables that it is computed from too, if the study has them
    also: Mapping[str, str] = field(default_factory=dict)  # further tables of its job, and what for
    settings: str | None = None  # `statistics`, `models` or `association`, of the configuration
    needs: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """Name of its rule."""
        return f"table_{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """All tables of its job."""
        return (self.name, *self.also)


@dataclass(frozen=True)
class Figure:
    """A figure for each task, or one for all. Its caption is workflow/report/{name}.rst."""

    name: str
    category: str  # of the report
    title: str  # in the report
    tables: tuple[str, ...]
    about: str
    by_task: bool = True
    needs: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """Name of its rule."""
        return f"figure_{self.name}"

    @property
    def module(self) -> str:
        """The module of layerscope that draws it."""
        return f"figures.{self.name}"

    @property
    def stem(self) -> str:
        """Its file's name without an ending, with the wildcard `task` if it is a task's."""
        return f"{self.name}-{{task}}" if self.by_task else self.name

    @property
    def labels(self) -> dict[str, str]:
        """Its labels in the report."""
        task = {"task": "{task}"} if self.by_task else {}
        return {"figure": self.title, **task}


@dataclass(frozen=True)
class Page:
    """A file for readers, one for each task or one for all. Its rule has its name."""

    name: str
    file: str  # below the study's results, with the wildcard `task` if it is a task's
    title: str
    category: str
    tables: tuple[str, ...] = ()  # that it is made from, as far as the study has them
    needs: tuple[str, ...] = ()

    @property
    def by_task(self) -> bool:
        """Whether each task has one."""
        return "{task}" in self.file

    @property
    def labels(self) -> dict[str, str]:
        """Its labels in the report."""
        task = {"task": "{task}"} if self.by_task else {}
        return {"figure": self.title, **task}
