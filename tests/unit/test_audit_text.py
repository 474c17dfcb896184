"""What an audit prints: the verdict first, few lines by default, all of it when asked."""

from __future__ import annotations

import getpass
import html
import os
import shutil
import socket
from pathlib import Path

import pytest
from recorded_studies import CODE, FIGURE, ran, run_report, run_study

from layerscope.core.errors import UserError
from layerscope.provenance.asked import audit_asked
from layerscope.provenance.audit import Audit, Part, audit, whole
from layerscope.provenance.audit_html import page, require_page
from layerscope.provenance.audit_text import in_words, tree
from layerscope.provenance.studies import find_study, read_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study()
    return folder


def seen(folder: Path, *targets: str) -> Audit:
    return audit(read_study(folder, "s"), targets, CODE)


def test_a_figure_gets_ten_lines_with_the_verdict_first(finished: Path) -> None:
    verdict, *lines = in_words(seen(finished, FIGURE)).splitlines()
    assert verdict == "Everything verifies: 4 files and folders of 3 jobs and 1 raw source checked."
    assert len(lines) <= 9
    told = dict(line.split(maxsplit=1) for line in lines)
    assert told["Commit"] == "cccccccccccc; checked against programs outside any git checkout"
    assert told["User"] == f"{getpass.getuser()} on {socket.gethostname()}"
    assert told["Versions"].startswith("python 3.")
    assert told["Raw"] == "data  raw.csv"


def test_a_figure_of_a_task_does_not_answer_for_other_tasks(finished: Path) -> None:
    other = "results/s/data/ner.parquet"
    assert other not in seen(finished, FIGURE).parts
    assert other in seen(finished, "results/s/tables/t.parquet").parts
    both = seen(finished, FIGURE, "results/s/tables/t.parquet")
    assert other in both.parts
    assert other not in in_words(both, trees=True).partition("\nresults/s/tables/t.parquet")[0]
    tree = page(both).partition('id="f-nli"')[2].partition("</section>")[0]
    assert "data/nli.parquet" in tree
    assert other not in tree


def test_a_study_is_audited_wherever_it_lies(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "results/s", tmp_path / "received")
    place = find_study(tmp_path / "received/figures/f-nli.svg")
    assert place == (tmp_path, "s", tmp_path / "received")
    found = audit(study := read_study(*place), [study.named(place[2] / FIGURE[10:])], CODE)
    assert found.targets == [FIGURE]
    assert {finding.kind for finding in found.findings} == {"log", "missing"}  # left behind


def test_of_many_findings_of_one_kind_a_few_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_study()
    for number in range(7):
        path = f"results/s/samples/{number}.parquet"
        ran(f"sample_{number}", [path])
        Path(path).write_text(f"edited {number}")
    found = seen(tmp_path, *(f"results/s/samples/{number}.parquet" for number in range(7)))
    short, whole = in_words(found), in_words(found, trees=True)
    assert short.startswith("7 things do not verify")
    *named, more = [line for line in short.splitlines() if line.startswith("!!")]
    for number, line in enumerate(named):
        assert line.startswith(f"!! changed: results/s/samples/{number}.parquet: changed by hand")
    assert (len(named), more) == (3, "!! changed: and 4 more: --tree")
    assert sum(line.startswith("!!") for line in whole.splitlines()) == 7


def test_what_the_configuration_no_longer_asks_for_is_named(finished: Path) -> None:
    """It verifies, and is no part of the study any more."""
    text = in_words(whole(read_study(finished, "s"), CODE))
    assert f"\nLeft over {FIGURE}, results/s/tables/t.parquet: snakemake clean\n" in text
    assert "Left over" not in in_words(seen(finished, FIGURE))


def test_a_renamed_copy_is_audited_as_the_study_that_it_is(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "w")
    copy = tmp_path / "w/results/before"
    (tmp_path / "w/results/s").rename(copy)
    found, _ = audit_asked(str(copy / "figures/f-nli.svg"), ".", CODE)
    assert found.targets == [FIGURE]
    (finding,) = (each for each in found.findings if each.path == "results/before")
    assert finding.message == "the study in this folder is s, under another name"
    assert {each.kind for each in found.findings} <= {"record", "settings"}
    assert len(found.findings) == 1 + len(seen(finished, FIGURE).findings)


def test_a_folder_of_results_is_audited_with_what_no_job_made_in_it(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "w")
    results = tmp_path / "w/results/s"
    (results / "figures/notes.txt").write_text("mine")
    (results / "notes.txt").write_text("mine")
    seen, _ = audit_asked(str(results / "figures"), ".", CODE)
    assert seen.targets == [FIGURE]
    orphans = [each.path for each in seen.findings if each.kind == "orphan"]
    assert orphans == ["results/s/figures/notes.txt"]


def test_an_edited_report_and_an_edited_caption_are_found(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    report = run_report([FIGURE])
    before = seen(Path(), report).findings
    for path in (report, "report/a.rst"):
        Path(path).write_text(Path(path).read_text() + "edited")
    found = [each for each in seen(Path(), report).findings if each not in before]
    assert [each[:2] for each in found] == [(report, "changed"), ("report/a.rst", "changed")]
    assert found[1].message == "the caption differs from what was read"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("audit.html", "the page of an earlier audit"),
        ("pack.zip", "an archive; unzip it and audit the study in it"),
        ("benchmarks/table.tsv", "Snakemake's run times"),
        ("figures/f-nli.svg.run.json", "a run record; allowed: the result that it is of"),
        ("mine", "no job made anything in it"),
    ],
)
def test_what_no_audit_looks_at_is_called_what_it_is(
    finished: Path, tmp_path: Path, name: str, said: str
) -> None:
    shutil.copytree(finished, tmp_path / "w")
    asked = tmp_path / "w/results/s" / name
    if name == "mine":
        asked.mkdir()
    with pytest.raises(UserError, match=f"{name}: {said}"):
        audit_asked(str(asked), ".", CODE)


def test_a_page_replaces_nothing_but_an_earlier_page(finished: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.html"
    require_page(own)
    own.write_text(page(seen(finished, FIGURE)))
    require_page(own)
    with pytest.raises(UserError, match="not the page of an audit; allowed: a new file"):
        require_page(finished / FIGURE)
    with pytest.raises(UserError, match="its folder does not exist"):
        require_page(tmp_path / "none" / "audit.html")
    assert not (tmp_path / "none").exists()


def test_a_chain_of_jobs_may_be_longer_than_python_recurses(finished: Path) -> None:
    found = seen(finished, FIGURE)
    kept = found.parts[FIGURE].made
    assert kept is not None
    parts = {}
    for number in range(3000):
        inputs = [{"path": f"p{number + 1}"}] if number < 2999 else []
        made = kept._replace(record={**kept.record, "inputs": inputs, "wildcards": {}})
        parts[f"p{number}"] = Part(f"p{number}", {"sha256": "1" * 64}, made, [])
    chain = found._replace(parts=parts, targets=["p0"])
    lines = [line for line in tree(chain, "p0") if "p2999" in line]
    assert len(lines) == 1
    nested = page(chain)
    assert nested.count("<details") == nested.count("</details>")
    assert "<code>p2999</code>" in nested


def test_what_a_killed_audit_leaves_is_no_finding(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "study")
    study = tmp_path / "study/results/s"
    before = whole(read_study(tmp_path / "study", "s"), CODE).findings
    (study / ".audit.html.host-1.partial").write_text("half")
    assert whole(read_study(tmp_path / "study", "s"), CODE).findings == before
    (study / ".scores.parquet.host-1.partial").write_text("half")
    assert len(whole(read_study(tmp_path / "study", "s"), CODE).findings) == len(before) + 1


def test_names_from_a_received_folder_are_harmless(finished: Path, tmp_path: Path) -> None:
    """They neither move a terminal's cursor nor end a page that is written in UTF-8."""
    shutil.copytree(finished / "results/s", tmp_path / "received")
    for name in (b"\xff.svg", b"\x1b[2J\nEverything verifies.svg", b"<script>.svg"):
        Path(os.fsdecode(os.fsencode(tmp_path / "received") + b"/" + name)).write_text("")
    (tmp_path / "received" / "report.html").write_text("of no job")
    found = whole(read_study(tmp_path, "s", tmp_path / "received"), CODE)
    lines = in_words(found, trees=True).split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("Everything") for line in lines)
    assert "<script" not in page(found)
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page(found)
    names = {os.path.basename(f.path) for f in found.findings if f.kind == "orphan"}
    assert names == {"\udcff.svg", "\x1b[2J\nEverything verifies.svg", "<script>.svg"}
    assert found.outside == ["report.html"]
    assert "Outside   report.html: not audited" in lines
    assert found.unknown
    for sentence in found.unknown:
        assert html.escape(sentence) in page(found)
        assert f"- {sentence}" in lines
