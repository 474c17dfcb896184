"""Types used by all sections of the configuration."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from layerscope.core.errors import show

#: Patterns of text, and what they are in words.
PATTERNS = {
    "name": r"^[a-z0-9]+(-[a-z0-9]+)*$",
    "repository": r"^[\w.-]+/[\w.-]+$",
    "revision": r"^[0-9a-f]{40}$",
    "sha256": r"^[0-9a-f]{64}$",
}
IN_WORDS = {
    PATTERNS["name"]: "lower-case letters and digits, joined by single hyphens, as in 'bert-base'; "
    "at most 40 characters",
    PATTERNS["repository"]: "owner/name, as in 'google-bert/bert-base-cased'",
    PATTERNS["revision"]: "a full commit, 40 hexadecimal digits",
    PATTERNS["sha256"]: "a sha256 digest, 64 hexadecimal digits",
}


def usable_path(path: str) -> str:
    """The path itself.

    Raises:
        ValueError: Snakemake takes part of it for a wildcard, or no file can have it.
    """
    if {"{", "}"} & set(path):
        raise ValueError(
            f"{path!r}; Snakemake takes text in braces for a wildcard; "
            "allowed: a path without braces"
        )
    fault = "allowed: a valid path"
    try:
        os.stat(Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"{show(path)}: no such user; {fault}") from None
    except ValueError as error:  # a NUL character, or half a surrogate pair
        raise ValueError(f"{show(path)}: {error}; {fault}") from None
    except OSError as error:  # missing is another matter
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError(f"{show(path)}: {len(path)} characters; {fault}") from None
    return path


Name = Annotated[str, StringConstraints(pattern=PATTERNS["name"], max_length=40)]
Repository = Annotated[str, StringConstraints(pattern=PATTERNS["repository"])]
Revision = Annotated[str, StringConstraints(pattern=PATTERNS["revision"])]
Sha256 = Annotated[str, StringConstraints(pattern=PATTERNS["sha256"])]
FilePath = Annotated[str, AfterValidator(usable_path)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Architecture = Literal["encoder", "decoder"]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values keep their type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Invalid(ValueError):  # noqa: N818
    """A value that is refused, at a place below the section that found it."""

    def __init__(self, where: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.where = tuple(where)


def distinct(values: list[Any]) -> list[Any]:
    """The list itself.

    Raises:
        Invalid: a value occurs twice.
    """
    for index, value in enumerate(values):
        if value in values[:index]:
            raise Invalid((index,), f"{value!r} occurs twice; allowed: each value once")
    return values
