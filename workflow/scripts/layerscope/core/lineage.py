"""The lineage of a result: one digest of all that it was made from, down to the raw data.

The lineage of a job is a digest of its rule, parameters and code, and of the content and the
lineage of each of its inputs: a Merkle tree (Merkle 1987) over the study's DAG. Nothing of time or
place is in it, so the same study has the same lineages on any machine, and figures that carry
theirs have the same bytes. One byte, setting or statement changed anywhere below changes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from layerscope.core.files import canonical_json, sha256_text

#: Options that say where and how a job runs, and nothing of what it makes.
ASIDE = frozenset(
    {"call", "checkpoint-seconds", "checkpoints", "folder", "gpus", "statements", "sha256"}
)
_MARK = re.compile(rb"layerscope:([0-9a-f]{64})")


class Origin(NamedTuple):
    """Where the results of the job that runs come from."""

    lineage: str
    statement: str  # the same for people, in a line


_running: list[Origin] = []


def lineage(
    rule: str,
    parameters: Mapping[str, Any],
    code: str,
    inputs: Sequence[Mapping[str, Any]],
) -> str:
    """Digest of a job and of all that came before it.

    Args:
        rule: its name.
        parameters: options of its program.
        code: digest of its program and all modules that it imports (`code_digest`).
        inputs: `sha256`, and the `lineage` of the job that made it (None for raw data), of each.

    Returns:
        Hexadecimal SHA-256.
    """
    counted = {name: value for name, value in parameters.items() if name not in ASIDE}
    parents = sorted([str(each["sha256"]), str(each.get("lineage"))] for each in inputs)
    return sha256_text(canonical_json([rule, counted, code, parents]))


def mark(digest: str) -> str:
    """How a figure carries a lineage."""
    return f"layerscope:{digest}"


def marked(content: bytes) -> str | None:
    """The lineage that a figure's bytes carry: in metadata of SVG and PDF, in text of PNG."""
    found = _MARK.search(content)
    return found[1].decode() if found else None


@contextmanager
def running(origin: Origin) -> Iterator[None]:
    """For the time of a block, `of_this_run` is `origin`."""
    _running.append(origin)
    try:
        yield
    finally:
        _running.pop()


def of_this_run() -> Origin | None:
    """Where what this process makes comes from; None if nobody recorded it."""
    return _running[-1] if _running else None
