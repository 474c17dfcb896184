"""Paths in a configuration count from the file that names them, however they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layerscope.config.load import read_yaml, validate
from layerscope.config.paths import check_paths, resolve_paths
from layerscope.core.errors import UserError

DEMO = Path(__file__).parents[2] / "config" / "config.yaml"


def study(**entries: Any) -> dict[str, Any]:
    """A configuration whose task is read from files."""
    return {"tasks": {"genes": {"source": {"kind": "files", **entries}}}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which there is a folder of studies."""
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True)
    monkeypatch.chdir(run)
    monkeypatch.setenv("HOME", str(run.parent))
    return run


def folder_of(config: dict[str, Any], *files: tuple[Path, dict[str, Any]]) -> str:
    found: str = resolve_paths(config, files)["tasks"]["genes"]["source"]["folder"]
    return found


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("genes", "studies/genes"),
        ("./x/../genes/", "studies/genes"),
        ("{here}/studies/genes", "studies/genes"),
        ("~/run/studies/genes", "studies/genes"),
        ("../../shared/genes", "../shared/genes"),
        ("~/shared/genes", "{home}/shared/genes"),
        ("/shared/genes", "/shared/genes"),
        (None, "studies"),
    ],
)
def test_a_path_is_the_same_however_it_is_written(
    written: str | None, resolved: str, here: Path
) -> None:
    config = study(**({"folder": written.format(here=here)} if written else {}))
    found = folder_of(config, (here / "studies" / "s.yaml", config))
    assert found == resolved.format(home=here.parent)


def test_of_several_files_the_last_that_gives_the_value_counts(here: Path) -> None:
    base, local = study(folder="a"), study(folder="b")
    files = ((here / "base" / "s.yaml", base), (here / "local" / "s.yaml", local))
    assert folder_of(local, *files) == "local/b"
    assert folder_of(base, files[0], (here / "local" / "s.yaml", {"study": "x"})) == "base/a"
    # From --config: no file gives it.
    assert folder_of(study(folder="c"), *files) == "c"


@pytest.mark.parametrize(("given", "resolved"), [({"folder": "a"}, "base/a"), ({}, "base")])
def test_a_later_file_without_a_path_does_not_move_it(
    given: dict[str, Any], resolved: str, here: Path
) -> None:
    base = study(**given) | {"references": "a.csv"}
    later = {"tasks": {"genes": {"source": {"examples": "x.csv"}}}}
    files = (here / "base" / "a.yaml", base), (here / "site" / "b.yaml", later)
    merged = study(**given, examples="x.csv")
    assert folder_of(merged, *files) == resolved
    assert resolve_paths({"references": "a.csv"}, files)["references"] == "base/a.csv"
    assert resolve_paths({"references": "b.csv"}, files)["references"] == "b.csv"


def test_all_paths_are_resolved_and_nothing_else(here: Path) -> None:
    config: dict[str, Any] = {
        "references": "values.csv",
        "models": {
            "own": {"source": {"kind": "folder", "path": "bert"}},
            "shipped": {"source": {"kind": "package", "package": "p", "folder": "model"}},
        },
        "corpora": {"notes": {"source": {"kind": "files", "train": "a", "heldout": "b"}}},
    }
    found = resolve_paths(config, [(here.parent / "s.yaml", config)])
    assert found["references"] == "../values.csv"
    assert found["models"]["own"]["source"]["path"] == "../bert"
    assert found["models"]["shipped"] == config["models"]["shipped"]
    assert found["corpora"]["notes"]["source"] == {
        "kind": "files", "train": "../a", "heldout": "../b",
    }  # fmt: skip
    assert config["references"] == "values.csv"


@pytest.mark.parametrize(
    "config",
    [{}, {"tasks": []}, {"tasks": {"a": None}}, {"models": {"a": {"source": {"path": 3}}}},
     {"corpora": {"a": {"source": {"kind": "files", "train": []}}}}, {"references": 1}],
)  # fmt: skip
def test_mistakes_are_left_to_the_validation(config: dict[str, Any]) -> None:
    assert resolve_paths(config, [("s.yaml", config)]) == config


def test_what_is_missing_is_named_with_its_whole_path(here: Path) -> None:
    config = read_yaml(DEMO) | {"references": "gone.csv"}
    config["models"]["minilm"]["source"] = {"kind": "folder", "path": "no/such"}
    with pytest.raises(UserError) as caught:
        check_paths(validate(resolve_paths(config, [("../study.yaml", config)])))
    assert str(caught.value).splitlines() == [
        f"models.minilm.source.path: '{here.parent}/no/such' has no config.json; allowed: "
        "a folder with config.json, model.safetensors and tokenizer files, "
        "or with a .gguf file",
        f"references: '{here.parent}/gone.csv' does not exist; allowed: a CSV file, or null",
    ]


def test_another_working_directory(here: Path) -> None:
    """That of a study that is audited from elsewhere."""
    config = study(folder="genes")
    found = resolve_paths(config, [("studies/s.yaml", config)], root="/elsewhere")
    assert found == study(folder="studies/genes")
