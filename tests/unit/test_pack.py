"""An archive of a study: what is in it, and that what was left out is known and no fault."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from recorded_studies import CODE, FIGURE, run_report, run_rest, run_study

from layerscope.__main__ import parser
from layerscope.config.load import validate
from layerscope.config.targets import targets
from layerscope.core.errors import UserError
from layerscope.provenance.audit import Audit, whole
from layerscope.provenance.audit_text import facts, verdict
from layerscope.provenance.crate import _add_root
from layerscope.provenance.entities import Graph
from layerscope.provenance.pack import _address, pack
from layerscope.provenance.present import Code
from layerscope.provenance.runs import WORKFLOW
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import self_digest

CHECKOUT = CODE.scripts.parents[1]
TARGETS = (FIGURE, "results/s/tables/t.parquet", "results/s/config.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory of a study that was packed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study()
        targets = [*TARGETS, *run_rest()]
        run_report(targets)
        said = pack(read_study(".", "s"), targets, Path("results/s/pack.zip"), CHECKOUT)
        assert said == "report.html is in it."
    return folder


@pytest.fixture
def unpacked(made: Path, tmp_path: Path) -> Path:
    """The archive of a study in a folder of somebody else."""
    with zipfile.ZipFile(made / "results/s/pack.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "s"


def seen(folder: Path) -> Audit:
    return whole(read_study(folder, "s"), Code(folder / "workflow" / "scripts", None))


@pytest.mark.slow
def test_an_archive_verifies_by_its_own_programs_without_data_and_logs(unpacked: Path) -> None:
    found = seen(unpacked)
    assert found.findings == []
    assert found.parts.keys() >= {*TARGETS, "results/s/data/nli.parquet", "raw.csv"}
    assert (unpacked / "results/s/report.html").is_file()
    assert not (unpacked / "results/s/data/nli.parquet").exists()
    assert "checked, 4 of them only by the digests in the records, since" in verdict(found)
    assert facts(found)["Commit"].endswith("; checked against the programs in this archive")
    text = (unpacked / "README.txt").read_text()
    assert text.startswith(f"Study s, made by the workflow layerscope, commit: {'c' * 40}.\n")
    assert f"Only Python {'.'.join(Code.python())}, which made the results" in text
    for line in (unpacked / "SHA256SUMS").read_text().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest
    names = {path for path in unpacked.rglob("*") if path.is_file()}
    assert len(names) == len((unpacked / "SHA256SUMS").read_text().splitlines()) + 1


def test_the_command_packs_what_the_configuration_asks_for(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s.zip"
    arguments = parser().parse_args(["pack", str(made / "results" / "s"), "--out", str(out)])
    arguments.carry_out(arguments)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"MB, sha256 {digest}\nreport.html is in it." in capsys.readouterr().out
    study = validate(json.loads((made / "results/s/config.json").read_text()))
    asked = {f"s/results/s/{path}" for paths in targets(study).values() for path in paths}
    with zipfile.ZipFile(out) as archive:
        assert asked <= set(archive.namelist())


@pytest.mark.slow
def test_what_is_changed_in_an_archive_is_found(unpacked: Path) -> None:
    (unpacked / "results/s/tables/t.parquet").write_text("forged")
    (unpacked / FIGURE).unlink()
    shutil.copy(unpacked / FIGURE.replace(".svg", ".svg.run.json"), unpacked / "results/s/new.svg")
    program = unpacked / "workflow/scripts/write_config.py"
    program.write_text(program.read_text() + "\nEDITED = True\n")
    found = {(finding.kind, finding.path) for finding in seen(unpacked).findings}
    assert {("changed", TARGETS[1]), ("missing", FIGURE), ("orphan", "results/s/new.svg")} <= found
    assert ("code", FIGURE) in found


def test_what_was_not_made_by_these_programs_or_was_edited_is_not_packed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    figure = Path(FIGURE).read_text()
    Path(FIGURE).write_text(figure.replace("<svg>", "<SVG>"))
    with pytest.raises(UserError, match="not what its run record says"):
        pack(read_study(".", "s"), TARGETS, Path("again.zip"), CHECKOUT)
    Path(FIGURE).write_text(figure)
    record = json.loads(Path(f"{FIGURE}.run.json").read_text())
    record["code"]["modules"] = dict.fromkeys(record["code"]["modules"], "0" * 64)
    Path(f"{FIGURE}.run.json").write_text(json.dumps(record | {"digest": self_digest(record)}))
    with pytest.raises(UserError, match=r"^figure_f task=nli: made by code that differs from"):
        pack(read_study(".", "s"), TARGETS, Path("again.zip"), CHECKOUT)


def test_another_python_cannot_compare_programs(
    made: Path, unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests of the same program differ, which is no fault of it."""
    version = ".".join(Code.python())
    monkeypatch.setattr(Code, "python", staticmethod(lambda: ("3", "99")))
    program = unpacked / "workflow/scripts/write_config.py"
    program.write_text(program.read_text() + "\nEDITED = True\n")
    found = seen(unpacked)
    assert found.findings == []
    (sentence,) = (each for each in found.unknown if "of Python 3.99" in each)
    assert f" are of Python {version}, " in sentence
    monkeypatch.chdir(made)
    pack(read_study(".", "s"), TARGETS, tmp_path / "again.zip", unpacked)


def test_of_results_alone_absent_logs_and_data_are_one_line_each(
    made: Path, tmp_path: Path
) -> None:
    shutil.copytree(made / "results", tmp_path / "results")
    found = whole(read_study(tmp_path, "s"), CODE)
    found_kinds = sorted(each[:2] for each in found.findings)
    assert found_kinds == [("logs/s", "log"), ("raw.csv", "missing")]
    configuration, captions, *_ = found.unknown
    assert "which are not here: my.yaml. Its settings are in config.json" in configuration
    assert "since they are not here: report/a.rst." in captions
    assert "7 jobs, 1 raw source and 1 caption checked, 1 of them only by" in verdict(found)


def test_a_report_that_is_out_of_date_is_left_out_and_said(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made")
    Path("report/a.rst").write_text("Another caption.")
    study = read_study(".", "s")
    said = pack(study, TARGETS, Path("again.zip"), CHECKOUT)
    assert "report/a.rst: the caption differs from what was read" in said
    assert not [n for n in zipfile.ZipFile("again.zip").namelist() if n.endswith("report.html")]


def test_the_address_of_the_workflow_is_told_where_the_citation_has_it(tmp_path: Path) -> None:
    file = tmp_path / "CITATION.cff"
    text = (CHECKOUT / "CITATION.cff").read_text()
    file.write_text(f"{text}repository-code: https://example.org/layerscope\n")
    assert _address(file) == " (https://example.org/layerscope)"
    graph = Graph()
    graph.add(WORKFLOW, ["File", "SoftwareSourceCode"], name="layerscope")
    _add_root(graph, "s", "2026-01-01", tmp_path)
    (workflow,) = (each for each in graph.entities() if each["@id"] == WORKFLOW)
    assert workflow["codeRepository"] == "https://example.org/layerscope"
    assert workflow["@type"] == ["File", "SoftwareSourceCode"]
