"""Settings of the programs that prepare data: what a task or a corpus is made from."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from layerscope.config.base import Count, Section, Seed, TaskKind
from layerscope.errors import UserError


class HpoTask(Section):
    """A task derived from the ontology."""

    generator: Literal["hpo-nli", "hpo-ner"]


class Limit(Section):
    """The most examples of a split; None for all."""

    train: Count | None
    validation: Count | None
    test: Count | None


class TaskSettings(Section):
    """What preparing a task depends on."""

    kind: TaskKind
    source: HpoTask
    limit: Limit
    seed: Seed


class HpoText(Section):
    """Text of the ontology's training terms."""

    generator: Literal["hpo-text"]


class PackageDocs(Section):
    """Docstrings of installed packages."""

    generator: Literal["package-docs"]
    packages: list[str] = Field(min_length=1)


class CorpusSettings(Section):
    """What preparing a corpus depends on."""

    source: Annotated[HpoText | PackageDocs, Field(discriminator="generator")]
    max_words: Count | None
    seed: Seed


Settings = TypeVar("Settings", bound=Section)


def read_settings(model: type[Settings], text: str) -> Settings:
    """Settings from JSON text.

    Raises:
        UserError: not JSON, or not these settings.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UserError(f"--settings: {where}: {first['msg']}; found {first['input']!r}") from None
