"""Two commits side by side, against what was edited between them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_studies import run, study
from running import copy_workflow

from layerscope.provenance.comparison.commits import compare_commits, find_commit
from layerscope.provenance.comparison.words import commits_in_words

pytestmark = pytest.mark.slow


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow with commits `start`, `comments`, `edits` and `refused`."""
    folder = copy_workflow(tmp_path_factory.mktemp("repository") / "workflow")
    (folder / "constraints.txt").write_text("# exact\nnumpy==2.0.0\nscipy==1.0\nold==1\n")
    library = folder / "workflow" / "scripts" / "layerscope"

    def commit(name: str) -> None:
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", name)
        git(folder, "tag", name)

    git(folder, "init", "-q")
    commit("start")
    edit(library / "core/formats/schemas.py", "VERSION = 1\n", "VERSION = 1  # the first\n")
    edit(folder / "workflow/rules/probe.smk", "rule probe:\n", "# A comment.\nrule probe:\n")
    edit(folder / "config/config.yaml", "study: demo\n", "study: demo  # the demo\n")
    edit(folder / "constraints.txt", "numpy==2.0.0\n", "numpy==2.0.0  # newest\n")
    commit("comments")
    edit(library / "analysis/probing/crf.py", "-> ", "-> object | ")
    with (library / "extraction/attention.py").open("a") as file:
        file.write("\n_UNUSED = 1\n")
    edit(folder / "config/config.yaml", "data_seed: 7\n", "data_seed: 8\n")
    edit(folder / "constraints.txt", "numpy==2.0.0", "numpy==2.1.0")
    edit(folder / "constraints.txt", "old==1\n", "new==1\n")
    (folder / "config/mine.yaml").write_text((folder / "config/config.yaml").read_text())
    commit("edits")
    edit(folder / "config/config.yaml", "data_seed: 8\n", "date_seed: 8\n")
    commit("refused")
    return folder


def compared(repository: Path, a: str, b: str) -> dict[str, Any]:
    full = [find_commit(repository, name) for name in (a, b)]
    assert all(full)
    return compare_commits(repository, str(full[0]), str(full[1]))


def test_comments_are_no_difference(repository: Path) -> None:
    found = compared(repository, "start", "comments")
    assert found["code"]["different"] == {}
    assert found["rules"] == found["versions"] == []
    assert found["configurations"]["changes"] == {}
    assert found["configurations"]["unresolved"] == []
    assert found["rule_files"]["different"] == []
    assert len(found["code"]["same"]) > 20
    assert len(found["rule_files"]["same"]) > 8
    text = commits_in_words(found)
    assert text.count("the same") == 4


def test_edits_of_code_settings_and_versions_are_found(repository: Path) -> None:
    found = compared(repository, "comments", "edits")
    modules = {name: each["different"] for name, each in found["code"]["different"].items()}
    assert modules == {
        "probe": ["layerscope.analysis.probing.crf"],
        "extract": ["layerscope.extraction.attention"],
    }
    assert found["rules"] == [
        "extract_base",
        "extract_base_temp",
        "extract_finetuned",
        "extract_finetuned_temp",
        "probe",
    ]
    configurations = found["configurations"]
    assert configurations["changes"] == {
        "config/config.yaml": [{"key": "data_seed", "a": 7, "b": 8}]
    }
    assert configurations["only_b"] == ["config/mine.yaml"]
    assert found["versions"] == [
        {"key": "new", "b": "1"},
        {"key": "numpy", "a": "2.0.0", "b": "2.1.0"},
        {"key": "old", "a": "1"},
    ]
    text = commits_in_words(found)
    assert "data_seed  7 -> 8" in text
    assert "rules that rerun: extract_base, " in text


def test_a_default_that_changed_is_a_setting_that_changed(repository: Path) -> None:
    """Each commit's library resolves its own files."""
    library = repository / "workflow" / "scripts" / "layerscope"
    git(repository, "checkout", "-q", "edits")
    edit(library / "config/statistics.py", "default=1000", "default=1500")
    git(repository, "commit", "-q", "-am", "default")
    found = compared(repository, "edits", "HEAD")["configurations"]["changes"]
    changed = [{"key": "statistics.resamples", "a": 1000, "b": 1500}]
    assert found["config/open-data.yaml"] == changed


def test_a_configuration_that_is_refused_is_compared_as_it_stands(repository: Path) -> None:
    found = compared(repository, "edits", "refused")["configurations"]
    assert found["unresolved"] == ["config/config.yaml"]
    assert found["changes"] == {
        "config/config.yaml": [{"key": "data_seed", "a": 8}, {"key": "date_seed", "b": 8}]
    }


def test_the_program_compares_commits_of_its_checkout(repository: Path, tmp_path: Path) -> None:
    program = repository / "workflow" / "scripts" / "compare.py"
    done = run("comments", "edits", "--json", program=program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == compared(repository, "comments", "edits")
    results = study(tmp_path).results
    for other, message in (
        ("nothing", "nothing: not found; allowed: "),
        (results, f"comments and {results}: one is a commit, the other a folder; allowed: "),
    ):
        refused = run("comments", other, program=program)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith(f"error: {message}")
        assert refused.stderr.count("\n") == 1
