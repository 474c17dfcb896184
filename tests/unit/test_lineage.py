"""The lineage of a result changes with everything below it and with nothing else."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest

from layerscope.core.lineage import (
    ASIDE,
    Origin,
    lineage,
    mark,
    marked,
    of_this_run,
    running,
)

JOB: dict[str, Any] = {
    "rule": "probe",
    "parameters": {"kind": "nli", "settings": {"seed": 1}, "out": "results/a/x.parquet"},
    "code": "0123456789abcdef",
    "inputs": [{"sha256": "a" * 64, "lineage": "b" * 64}, {"sha256": "c" * 64, "lineage": None}],
}


def test_it_is_a_digest_of_what_is_said() -> None:
    """Of this very text: figures that exist carry such a digest."""
    text = (
        '["probe",{"kind":"nli","out":"results/a/x.parquet","settings":{"seed":1}},'
        f'"0123456789abcdef",[["{"a" * 64}","{"b" * 64}"],["{"c" * 64}","None"]]]'
    )
    assert lineage(**JOB) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rule",), "score"),
        (("parameters", "kind"), "ner"),
        (("parameters", "settings", "seed"), 2),
        (("parameters", "more"), True),
        (("code",), "0123456789abcdee"),
        (("inputs", 0, "sha256"), "d" * 64),
        (("inputs", 0, "lineage"), "d" * 64),
        (("inputs", 1, "lineage"), "d" * 64),
    ],
)
def test_everything_counts(path: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(JOB)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert lineage(**changed) != lineage(**JOB)


def test_where_and_how_it_ran_does_not_count() -> None:
    aside = {**JOB, "parameters": {**JOB["parameters"], **dict.fromkeys(ASIDE, "anything")}}
    assert lineage(**aside) == lineage(**JOB)
    moved = {**JOB, "inputs": [{**entry, "path": "elsewhere"} for entry in JOB["inputs"]]}
    assert lineage(**moved) == lineage(**JOB)
    order = {**JOB, "parameters": dict(reversed(JOB["parameters"].items()))}
    assert lineage(**{**order, "inputs": JOB["inputs"][::-1]}) == lineage(**JOB)


def test_a_mark_is_found_in_any_bytes() -> None:
    digest = lineage(**JOB)
    assert marked(b"\x89PNG\xff" + mark(digest).encode() + b"\x00rest") == digest
    assert marked(b"layerscope:too-short") is None


def test_this_run_has_an_origin_for_the_time_of_a_block() -> None:
    assert of_this_run() is None
    with running(Origin("a", "b")):
        assert of_this_run() == Origin("a", "b")
    assert of_this_run() is None
