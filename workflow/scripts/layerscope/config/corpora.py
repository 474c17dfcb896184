"""Where plain text to pre-train on comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from layerscope.config.base import Count, FilePath, Section, Seed, distinct


class HpoText(Section):
    """Names, synonyms, definitions and comments of the ontology's training terms."""

    kind: Literal["hpo-text"] = Field(description="text of the ontology")


class PackageDocs(Section):
    """Docstrings of installed Python packages: general technical English."""

    kind: Literal["package-docs"] = Field(description="documentation of packages")
    packages: Annotated[list[str], AfterValidator(distinct)] = Field(
        min_length=1, description="import names of installed packages"
    )


class TextFiles(Section):
    """The user's own text files, UTF-8, with blank lines between documents."""

    kind: Literal["files"] = Field(description="text files on this machine")
    train: FilePath = Field(description="file to learn from")
    heldout: FilePath = Field(description="file to measure the loss on")
    credentialed: bool = Field(
        default=False, description="under an agreement: files derived from it are kept private"
    )


CorpusSource = Annotated[HpoText | PackageDocs | TextFiles, Field(discriminator="kind")]


class CorpusSettings(Section):
    """What preparing a corpus depends on."""

    source: CorpusSource
    max_words: Count | None
    seed: Seed
