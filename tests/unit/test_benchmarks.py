"""The benchmark works, and its ways give equal results; nothing is timed."""

from __future__ import annotations

import gc
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import predict
import pytest
import report
import stage_demo

from layerscope.resources.computing import Needs

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
STAGES = sorted(path.stem.removeprefix("stage_") for path in BENCHMARKS.glob("stage_*.py"))
KEYS = {"stage", "shape", "equal", "ways", "ratios", "limit", "goal", "reached", "notes"}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What all stages find at their smallest, as JSON has it; this process imports once."""
    stages = {name: importlib.import_module(f"stage_{name}") for name in STAGES}
    gc.collect()
    gc.freeze()  # before each turn the collector would pass over what was imported
    results = {name: module.run("smoke") for name, module in stages.items()}
    return dict(json.loads(json.dumps(results)))


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_found_and_its_results_are_equal(
    found: dict[str, dict[str, Any]], name: str
) -> None:
    result = found[name]
    assert set(result) >= KEYS
    assert result["stage"] == name
    assert result["equal"]
    for seen in result["equal"].values():
        if "largest difference" in seen:
            assert 0 <= seen["largest difference"] <= seen["tolerance"]
    assert "layerscope" in " ".join(result["ways"])
    for way in result["ways"].values():
        assert way["seconds"]
        assert min(way["seconds"]) > 0
        assert way["rate"]["low"] <= way["rate"]["median"] <= way["rate"]["high"]
    for ratio in result["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]


@pytest.mark.slow
def test_the_page_has_every_stage_and_keeps_what_stands_around_the_tables(
    found: dict[str, dict[str, Any]],
) -> None:
    tables = report.page(list(found.values()), {STAGES[0]: "a | reason"})
    assert "a \\| reason" in tables
    document = f"# Title\n\nbefore\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.replaced(document, tables)
    assert once.startswith("# Title\n\nbefore\n")
    assert once.endswith("\nafter\n")
    assert "old" not in once
    assert report.replaced(once, tables) == once
    for name in STAGES:
        assert f"| {name} |" in once
    with pytest.raises(ValueError, match="allowed"):
        report.replaced("no markers", tables)


def test_the_pages_have_what_was_measured_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [ROOT / "docs" / "performance.md", ROOT / "docs" / "gpu.md"]
    copies = [shutil.copy(page, tmp_path) for page in pages]
    monkeypatch.setattr(
        sys, "argv", ["report.py", "--page", str(copies[0]), "--gpu-page", str(copies[1])]
    )
    report.main()
    for page, copy in zip(pages, copies, strict=True):
        assert Path(copy).read_text("utf-8") == page.read_text("utf-8"), "run benchmarks/report.py"


@pytest.mark.slow
def test_the_program_writes_a_file_a_stage_and_refuses_an_unknown_one(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--smoke", "--results", str(tmp_path)]
    ran = subprocess.run([*command, "demo"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "6 minutes" in ran.stdout
    assert json.loads((tmp_path / "demo.json").read_text(encoding="utf-8"))["machine"] == {}
    ran = subprocess.run([*command, "nothing"], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "no stage nothing; allowed: " in ran.stderr


def test_the_critical_path_is_the_longest_chain_and_no_sum() -> None:
    records = stage_demo.made_up()
    assert stage_demo.critical_path(records) == (8.0, ["a: 5.0 s", "c: 3.0 s"])
    assert stage_demo.too_early(records) == 0.0
    late = [{**record, "started": record["started"].replace(":07+", ":03+")} for record in records]
    assert stage_demo.too_early(late) == 2.0


def test_jobs_go_to_what_is_free_and_wait_for_what_they_need() -> None:
    def work(chains: int) -> list[predict.Job]:
        found: list[predict.Job] = []
        for _ in range(chains):
            tuned = predict.Job("finetune", 3.0, gpu=True)
            found += [tuned, predict.Job("probe", 4.0, gpu=False, after=[tuned])]
        return found

    assert predict.schedule(work(1), 1, 1) == 7.0
    assert predict.schedule(work(4), 4, 8) == 7.0
    assert predict.schedule(work(4), 1, 8) == 3.0 * 4 + 4.0  # the GPU is the narrow place
    assert predict.schedule(work(4), 4, 1) == 4 * 7.0  # and here the core
    assert predict.schedule(work(2), 1, 2) == 3.0 + 3.0 + 4.0


def test_a_prediction_grows_with_the_work_and_with_caution(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = {
        name: 1.0
        for view in ("joint", "separate")
        for name in (f"svm, {view}", f"linear, {view}", "linear on words")
    } | {"bilstm-crf, words/s": 1e4}
    found = predict.predict({"768": rates, "1024": rates}, write=3e8)
    longest = found["places"]["the longest chain of jobs, however large the cluster"]
    for place, times in found["places"].items():
        assert times["hopeful"] <= times["cautious"], place
        assert all(times[name] >= longest[name] - 1e-6 for name in times), place
    # 76 layers and states of four models, six variants; three passes, a third of the test's words.
    crf = found["parts"]["hopeful"]["probe bilstm-crf"]
    words = 3 * 1927 * 30 + 3856 * 30 / 3
    assert crf == pytest.approx(24 * 5.0 + 76 * 6 * words / 1e4, rel=1e-6)
    # On GPUs, whatever the rates of a core.
    monkeypatch.setattr(predict, "needs", lambda *_: Needs(0, 0.0, 1))
    slow = dict.fromkeys(rates, 1e3) | {"bilstm-crf, words/s": 1.0}
    on_gpus = (predict.predict(dict.fromkeys(("768", "1024"), r), 3e8) for r in (rates, slow))
    parts, of_slow_cores = (each["parts"]["hopeful"] for each in on_gpus)
    assert parts == of_slow_cores
    assert parts["probe bilstm-crf"] < crf
    assert "minutes" in report.prediction(
        {"assumed": [vars(a) for a in predict.ASSUMED], "probes": {"768": rates}, **found}
    )
