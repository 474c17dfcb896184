"""What an earlier configuration left is listed and removed; what a person put there is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recorded_studies import CODE, FIGURE, ran, run_study

from layerscope.core.errors import UserError
from layerscope.provenance.audit import whole
from layerscope.provenance.leftovers import in_words, leftovers, remove_leftovers
from layerscope.provenance.studies import read_study

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
    assert (again.removable, again.edited) == ([], ["results/s/edited/b.svg"])
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
