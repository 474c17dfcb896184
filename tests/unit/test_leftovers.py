"""What an earlier configuration left is listed and removed; what a person put there is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from recorded_studies import CODE, FIGURE, ran, run_study

from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.provenance.audit import whole
from layerscope.provenance.leftovers import (
    in_words,
    leftovers,
    remove_leftovers,
    require_same_study,
)
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import describe, self_digest

OTHER = "results/s/gone/a.svg"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Outputs that the study still has: of all jobs but the figure's and two others."""
    monkeypatch.chdir(tmp_path)
    run_study()
    kept = [path for path in read_study(".", "s").made if path != FIGURE]
    ran("figure_gone", [OTHER, OTHER.replace(".svg", ".pdf")])
    ran("figure_edited", ["results/s/edited/b.svg"])
    Path("results/s/edited/b.svg").write_text("by hand")
    Path("results/s/figures/notes.txt").write_text("mine")
    Path("results/s/benchmarks").mkdir()
    Path("results/s/benchmarks/figure_f.tsv").write_text("1 s")
    return kept


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def test_leftovers_are_listed_and_removed_with_what_was_written_beside_them(
    kept: list[str],
) -> None:
    before = files()
    found = leftovers(read_study(".", "s"), kept)
    text = in_words(found, removed=False, how="HOW")
    assert f"\n  figure_f (1): {FIGURE}\n  figure_gone (1): {OTHER}\nleft alone" in text
    assert text.endswith("times), HOW")
    assert files() == before
    remove_leftovers(found)
    gone = {
        FIGURE,
        f"{FIGURE}.run.json",
        "logs/s/figure_f.log",
        "results/s/benchmarks/figure_f.tsv",
    }
    gone |= {OTHER, f"{OTHER}.run.json", OTHER.replace(".svg", ".pdf"), "logs/s/figure_gone.log"}
    assert before - files() == gone
    assert not Path("results/s/gone").exists()
    again = leftovers(read_study(".", "s"), kept)
    edited = {"results/s/edited/b.svg": "it is not what its job left"}
    assert (again.removable, again.left_alone) == ([], edited)
    findings = whole(read_study(".", "s"), CODE).findings
    assert {each.path for each in findings if each.kind in ("changed", "orphan")} == {
        "results/s/edited/b.svg",
        "results/s/figures/notes.txt",
    }


def test_nothing_is_removed_through_a_link_or_by_the_plan_of_something_else(
    kept: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    os.rename("results/s/gone", elsewhere / "gone")
    os.symlink(elsewhere / "gone", "results/s/gone")
    found = leftovers(read_study(".", "s"), kept)
    assert not [path for path in found.removable if "gone" in path]
    with pytest.raises(UserError, match="the plan makes nothing in it"):
        leftovers(read_study(".", "s"), ["results/other/tables/t.parquet"])


def rewrite(path: str, digest: bool = True, **changes: object) -> None:
    """Change a record, as if its job had left it so; without its digest, as who edits it does."""
    record = json.loads(Path(path).read_text()) | changes
    write_json(path, record | ({"digest": self_digest(record)} if digest else {}))


def test_what_a_later_job_made_again_is_that_jobs(kept: list[str]) -> None:
    again, part = "results/s/heads/x.svg", "results/s/attention/x.svg"
    ran("extract", [again, part])
    ran("extract", [again])
    found = leftovers(read_study(".", "s"), [*kept, FIGURE, OTHER, again])
    assert found.removable == [part, f"{part}.run.json"]  # the log is the later job's
    remove_leftovers(found)
    assert not [each for each in whole(read_study(".", "s"), CODE).findings if "x.svg" in each.path]


def test_what_a_result_that_stays_was_made_from_stays(kept: list[str]) -> None:
    """A report of an earlier configuration can be verified until it is made again."""
    figure, report = "results/s/figures/old.svg", "results/s/report.html"
    ran("table_old", ["results/s/tables/old.csv"])
    ran("figure_old", [figure], ["results/s/tables/old.csv"])
    ran("report_page", [report], [figure])
    found = leftovers(read_study(".", "s"), [*kept, FIGURE, OTHER, report])
    assert found.jobs == []
    text = in_words(found, removed=True, how="HOW")
    assert f"left alone, since {report}, which stays, was made from it" in text
    assert f": {figure}\n" in text
    os.remove(report)
    found = leftovers(read_study(".", "s"), [*kept, FIGURE, OTHER, report])
    assert [job.record["rule"] for job in found.jobs] == ["table_old", "figure_old"]


def test_what_jobs_that_may_be_running_make_stays(kept: list[str]) -> None:
    record = f"{OTHER}.run.json"
    os.remove(OTHER)
    rewrite(record, ended=None, exit=None)
    found = leftovers(read_study(".", "s"), kept)
    assert not [path for path in found.removable if "gone" in path]
    assert found.left_alone[record] == "its job has not ended, or was killed"
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text(f"resources/m\n{FIGURE}\n")
    before = files()
    with pytest.raises(UserError, match="another run of Snakemake is using it"):
        remove_leftovers(found)
    assert files() == before


@pytest.mark.parametrize(
    ("named", "digest", "gone"),
    [
        ("results/s/checkpoints/finetune/a.svg", True, True),
        ("results/s/checkpoints/finetune", True, False),
        ("results/s/gone", True, False),
        ("results/s/checkpoints/finetune/a.svg", False, False),
    ],
)
def test_of_checkpoints_only_the_jobs_own_go(
    kept: list[str], named: str, digest: bool, gone: bool
) -> None:
    Path("results/s/checkpoints/finetune/a.svg").mkdir(parents=True)
    rewrite(f"{OTHER}.run.json", digest, parameters={"checkpoints": named})
    assert (named in leftovers(read_study(".", "s"), kept).removable) is gone
    if not digest:
        assert leftovers(read_study(".", "s"), kept).left_alone[f"{OTHER}.run.json"]


def test_a_folder_with_a_hidden_file_besides_stays_and_removal_that_fails_is_said(
    kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path("results/s/models/m")
    ran("finetune", [str(model)])
    model.unlink()
    model.mkdir()
    (model / "weights").write_text("1")
    (model / ".snakemake_timestamp").touch()
    rewrite(f"{model}.run.json", outputs=[{**describe(model), "temporary": False}])
    found = leftovers(read_study(".", "s"), kept)
    assert str(model) in found.removable
    monkeypatch.setattr("layerscope.core.files.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(UserError, match=f"{model}: cannot be removed"):
        remove_leftovers(found)
    assert Path(f"{model}.run.json").exists()
    (model / ".notes").write_text("mine")
    found = leftovers(read_study(".", "s"), kept)
    assert str(model) in found.left_alone
    assert not [path for path in found.removable if "finetune" in path or "models" in path]


def test_a_study_that_has_only_the_name_of_another_removes_nothing_of_it(kept: list[str]) -> None:
    study = read_study(".", "s")
    write_json(Path("results/s/config.json"), {"tasks": {"a": 1, "b": 2}, "models": {"m": 1}})
    require_same_study(study, ["b", "c"], ["m", "n"])
    with pytest.raises(UserError, match=r"made with tasks a, b, none of which .* \(c\); allowed"):
        require_same_study(study, ["c"], ["m"])
    with pytest.raises(UserError, match="made with models m, none of which"):
        require_same_study(study, ["a"], ["n"])
