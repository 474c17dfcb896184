"""What is published names no path of a machine, and keeps everything else as it is."""

from __future__ import annotations

from typing import Any

import pytest

from layerscope.provenance.places import (
    command_without_places,
    is_place,
    names_places,
    without_places,
)

PLACES = {
    "/": "",
    "/home/anna/data/train.csv": "train.csv",
    "/home/anna/my data": "my data",
    "/data": "data",
    "~": "~",
    "~/bert": "bert",
    "~anna-b/data/x.csv": "x.csv",
    "../models/bert/": "bert",
    "..": "..",
}
TEXTS = {
    "see /home/anna/x.csv.": "see x.csv.",
    "{folder: /home/anna, seed: 1}": "{folder: anna, seed: 1}",
    "a=/scratch/anna/b,c=~/d": "a=b,c=d",
    "in ../../anna/x and there": "in x and there",
    "# of ~anna-b/data/": "# of data",
}
KEPT: list[Any] = [
    "results/demo/data/x.parquet",
    "https://hpo.jax.org/app/license",
    "train/validation and 5/6",
    "mg / l, or w/o; ~5 GB",
    "10.1016/j.artmed.2024.103003",
    "owner/name",
    ".",
    "",
    None,
    True,
    0.5,
]


@pytest.mark.parametrize("path", PLACES)
def test_a_path_is_its_last_part(path: str) -> None:
    assert is_place(path)
    assert without_places(path) == PLACES[path]


@pytest.mark.parametrize("text", TEXTS)
def test_a_path_in_a_text_is_its_last_part(text: str) -> None:
    assert not is_place(text)
    assert without_places(text) == TEXTS[text]
    assert names_places(text)


@pytest.mark.parametrize("value", KEPT)
def test_what_is_no_place_is_kept(value: Any) -> None:
    assert without_places(value) == value
    assert without_places({"a": [value, {"b": value}]}) == {"a": [value, {"b": value}]}
    assert not names_places([value])


def test_places_are_found_at_any_depth() -> None:
    assert without_places({"a": [{"b": "/home/anna/x"}], "c": 1}) == {"a": [{"b": "x"}], "c": 1}


def test_words_of_a_command_are_looked_at_one_by_one() -> None:
    command = (
        """python ../w/probe.py --settings '{"a":["/home/anna b/x"],"n":1.0}' --out results/x"""
    )
    assert (
        command_without_places(command)
        == """python probe.py --settings '{"a":["x"],"n":1.0}' --out results/x"""
    )
