"""What a run record is. Records come from other machines and people, so they are checked when read.

Keys that are not known are let through: a later version may write more.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from layerscope.config.base import Sha256


def _place(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("not a path")
    return text


def is_below(path: str) -> bool:
    """Whether a plain path is below the folder that it counts from."""
    return not os.path.isabs(path) and path.split(os.sep)[0] != os.pardir


def _plain(text: str) -> str:
    if os.path.normpath(text) != text:
        raise ValueError("not a plain path")
    return text


def _below(text: str) -> str:
    if not is_below(text):
        raise ValueError("not a path below the folder")
    return text


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without a time zone")
    return text


def _command(text: str) -> str:
    shlex.split(text)
    return text


Place = Annotated[str, AfterValidator(_place)]
Plain = Annotated[Place, AfterValidator(_plain)]
Below = Annotated[Plain, AfterValidator(_below)]
#: Git names commits by SHA-1 or by SHA-256.
Commit = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")]
Time = Annotated[str, AfterValidator(_time)]
Word = Annotated[str, StringConstraints(pattern=r"^\w+$")]
Size = Annotated[int, Field(ge=0, lt=2**63)]
Nanoseconds = Annotated[int, Field(gt=-(2**63), lt=2**63)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class File(_Part):
    """A file below a folder."""

    path: Below
    bytes: Size
    sha256: Sha256
    modified_ns: Nanoseconds


class Input(_Part):
    """What a job read: a file, a folder or a package."""

    path: Place
    bytes: Size
    sha256: Sha256
    lineage: Sha256 | None


class Output(_Part):
    """What a job made; without a digest until it is made.

    The prefix of a module may lead anywhere. A record from elsewhere must not: who opens what it
    names asks `is_below` first, as `provenance.studies` does.
    """

    path: Plain
    temporary: bool
    bytes: Size = 0
    sha256: Sha256 = ""
    modified_ns: Nanoseconds = 0
    files: list[File] = []

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.model_fields_set & {"bytes", "sha256", "modified_ns"}) not in (0, 3):
            raise ValueError("bytes, sha256 and modified_ns belong together")
        return self


class Log(_Part):
    """A job's log."""

    path: Place
    sha256: Sha256 = ""


class CodeOfJob(_Part):
    """What a job's program consisted of."""

    digest: str
    modules: dict[str, str]


class Configuration(_Part):
    """Where a configuration was read from."""

    files: list[Place]
    given: dict[str, JsonValue]


class Gpu(_Part):
    """A GPU that a job used."""

    name: str
    driver: str


class Machine(_Part):
    """Where a job ran."""

    host: str
    system: str
    processor: str
    cores: int | None
    gpus: list[Gpu]


class Slurm(_Part):
    """The SLURM job that a job was part of."""

    job: str


class RunRecord(_Part):
    """A whole record, of a job that ended or, without `ended` and `exit`, of one that began."""

    study: str
    rule: Word
    wildcards: dict[str, str]
    program: Word
    part: Annotated[str, StringConstraints(pattern=r"^\w+(\.\w+)*$")] | None = None
    command: Annotated[str, AfterValidator(_command)]
    parameters: dict[str, JsonValue]
    seeds: dict[str, int]
    inputs: list[Input]
    outputs: Annotated[list[Output], Field(min_length=1)]
    log: Log
    lineage: Sha256
    code: CodeOfJob
    commit: Commit | None
    dirty: bool | None
    configuration: Configuration | None = None
    versions: dict[str, str]
    slurm: Slurm | None
    writer: str
    started: Time
    ended: Time | None
    exit: int | None
    machine: Machine | None = None
    peak_memory_bytes: Size | None = None
    peak_gpu_memory_bytes: Size | None = None
    digest: str

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len({output.path for output in self.outputs}) < len(self.outputs):
            raise ValueError("an output occurs twice")
        if (self.ended is None) != (self.exit is None):
            raise ValueError("ended and exit belong together")
        later = {"machine", "peak_memory_bytes", "peak_gpu_memory_bytes"}
        if self.exit is not None and (self.machine is None or later - self.model_fields_set):
            raise ValueError("it ended, and does not say where")
        return self


def mistake(record: Any) -> str | None:
    """What keeps decoded JSON from being a record, in a line; None if it is one."""
    if not isinstance(record, Mapping):
        return f"it is {type(record).__name__}; allowed: the entries of a run record"
    try:
        RunRecord.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"][:4]))
        return f"{where}: {first['msg']}" if where else first["msg"]
    return None
