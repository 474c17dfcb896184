"""Configuration files as YAML: what cannot be read is one line, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from layerscope.config.load import read_yaml
from layerscope.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' occurs twice", "allowed: each key once"),
        ("a: {b: 1, b: 2}\n", "line 1: key 'b' occurs twice", "allowed: each key once"),
        ("__use_yte__: true\na: 1\n", "key '__use_yte__'", "allowed: a file without it"),
        ("- a\n- b\n", "holds list", "allowed: a mapping"),
        ("", "holds NoneType", "allowed: a mapping"),
        ("a: [1\nb: 2\n", "line 2", "not valid YAML"),
        ("a:\n\t- 1\n", "line 2", "not valid YAML"),
        ("a: *nowhere\n", "undefined alias 'nowhere'", "not valid YAML"),
        ("a: !!python/object:os.system {}\n", "python/object", "not valid YAML"),
        ("? [1, 2]\n: 3\n", "unhashable key", "not valid YAML"),
        ("a: 2020-13-45\n", "line 1: '2020-13-45' is not a valid timestamp", "text in quotes"),
        ("a:\n  - 0x_\n", "line 2: '0x_' is not a valid int", "text in quotes"),
        ("a: " + "7" * 5000, "7777... is not a valid int", "text in quotes"),
        ("a: !!bool b\n", "'b' is not a valid bool", "text in quotes"),
        ("a: " + "[" * 500, "nested too deeply", "settings as documented"),
    ],
    ids=lambda text: text[:20],
)
def test_broken_files_give_one_line(tmp_path: Path, text: str, found: str, allowed: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(path))
    assert found in line
    assert allowed in line


def test_files_that_cannot_be_read_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing.yaml: no such file$"):
        read_yaml(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match=r"directory; allowed: a file"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(UserError, match=r"latin.yaml: not valid YAML"):
        read_yaml(tmp_path / "latin.yaml")


def test_yaml_merge_keys_work(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\n", encoding="utf-8")
    assert read_yaml(path)["other"] == {"a": 1, "b": 3}
