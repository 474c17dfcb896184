"""The miniature study, run to its end: what it leaves, and its report.

It is run twice, in two folders, from two copies of the workflow: once as `make demo` runs a study,
its jobs started by the fork server; and once by Snakemake alone, killed in the middle, started
again, and its last part run under the fork server (`test_miniature_again.py`). Every file must be
byte-identical in both.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from miniature import TASKS
from running import Finished, options, read_config, snakemake

from layerscope import catalogue
from layerscope.run_records.content import ENDING

pytestmark = pytest.mark.xdist_group("miniature")
#: Conditions of analyses that do not hold in it.
LACKS = {
    *("references", "adapter-pairs", "training-repeats"),
    *("representation_quality", "usable_information"),
}
FIGURES = [
    figure.stem.format(task=task)
    for figure in catalogue.FIGURES
    if LACKS.isdisjoint(figure.needs)
    for task in (TASKS if figure.by_task else [None])
]


# --- what is there -------------------------------------------------------------------------------


def test_every_file_of_the_plan_is_there_and_no_other(finished: Finished) -> None:
    """No partial, hidden or forgotten files; a log and a benchmark for each job."""
    outputs = {output for job in finished.everything for output in job.outputs}
    files = {
        path.relative_to(finished.folder)
        for top in ("results", "resources")
        for path in (finished.folder / top).rglob("*")
        if path.is_file() and path.name != ".snakemake_timestamp"  # Snakemake's own, in folders
    }
    assert {output for output in outputs if not (finished.folder / output).exists()} == set()
    unknown = {
        str(path)
        for path in files
        if outputs.isdisjoint({str(path), *map(str, path.parents)})
        and "benchmarks" not in path.parts
        and not path.name.endswith(ENDING)
    }
    assert unknown == set()
    assert [str(path) for path in files if path.name.startswith(".")] == []
    assert [str(path) for path in files if (finished.folder / path).stat().st_size == 0] == []
    jobs = len(finished.everything) - 1
    assert len([path for path in files if "benchmarks" in path.parts]) == jobs
    assert len(list(finished.folder.glob("logs/**/*.log"))) == jobs


def test_progress_is_shown(finished: Finished) -> None:
    jobs = len(finished.everything)
    assert f"{jobs} of {jobs} steps (100%) done" in finished.output


def test_the_configuration_is_kept(results: Path, finished: Finished) -> None:
    kept = json.loads((results / "config.json").read_text(encoding="utf-8"))
    given = read_config(finished.config)
    assert kept["study"] == "miniature"
    assert kept["variants"] == {**given["variants"], "random_seeds": [0]}
    assert kept["finetuning"]["nli"]["epochs"] == given["finetuning"]["nli"]["epochs"]
    assert kept["statistics"]["confidence"] == 0.95  # a default


# --- figures -------------------------------------------------------------------------------------


def test_figures(results: Path) -> None:
    names = {path.name for path in (results / "figures").iterdir()}
    endings = ("svg", "pdf", "png", f"svg{ENDING}")
    assert names == {f"{name}.{ending}" for name in FIGURES for ending in endings}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_opens(name: str, results: Path) -> None:
    svg = ElementTree.parse(results / "figures" / f"{name}.svg").getroot()  # noqa: S314
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}path"))) > 10
    png = (results / "figures" / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    assert width > 500
    assert height > 300
    pdf = (results / "figures" / f"{name}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")


# --- the report ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Made without a network: the environment's proxies lead nowhere."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    result = snakemake(finished.workflow, finished.folder, *options(finished), "--report", path)
    assert result.returncode == 0, result.stdout
    assert "Missing metadata" not in result.stdout
    return path.read_text(encoding="utf-8")


def _embedded(report: str, name: str) -> Any:
    """The value of a variable of the report's script."""
    start = f"var {name} = {{"
    value, _ = json.JSONDecoder().raw_decode(report[report.index(start) + len(start) - 1 :])
    return value


def test_the_report_has_every_figure_with_caption_category_and_labels(report: str) -> None:
    figures = _embedded(report, "results")
    prefix = "results/miniature/figures/"
    assert set(figures) == {
        *(f"{prefix}{name}.svg" for name in FIGURES),
        "results/miniature/explorer.html",
        "results/miniature/summary.md",
        *(f"results/miniature/data/{task}/report.html" for task in TASKS),
    }
    for page in ("explorer.html", "summary.md"):
        assert figures.pop(f"results/miniature/{page}")["labels"]["figure"]
    for task in TASKS:
        assert figures.pop(f"results/miniature/data/{task}/report.html")["labels"]["task"] == task
    categories = _embedded(report, "categories")
    for path, figure in figures.items():
        name = Path(path).stem
        assert len(re.sub(r"<[^>]*>", "", figure["caption"]).split()) > 10, path
        assert "{{" not in figure["caption"], path
        assert figure["labels"]["figure"], path
        task = next((task for task in TASKS if name.endswith(task)), None)
        assert figure["labels"].get("task") == task, path
        assert figure["data_uri"].startswith("data:image/svg+xml"), path
    assert set(categories) == {
        "Summary",
        "Explorer",
        "Performance",
        "Layers",
        "Attention",
        "Interventions",
        "Association",
        "Pre-training",
        "Data",
    }


def test_the_report_loads_nothing(report: str) -> None:
    """All of it is in the one file."""
    patterns = (
        r"<script[^>]*\ssrc\s*=",
        r"<link[^>]*\shref\s*=\s*[\"']?(?!data:)",
        r"<img[^>]*\ssrc\s*=\s*[\"']?https?:",
        r"@import\s",
        r"url\(\s*[\"']?https?:",
    )
    for pattern in patterns:
        assert re.findall(pattern, report) == [], pattern
