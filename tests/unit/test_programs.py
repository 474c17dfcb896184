"""Programs: light help, one line for a mistake, and what those that run models do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forking import run_program
from running import server_of_jobs
from tiny_models import TEXTS, Tiny, ner_table, nli_table, save_encoder

import extract
import fetch_model
import finetune
import pretrain
import probe
import sample_for_probes
from layerscope.core.formats import (
    activation_metadata,
    read_keys,
    read_layer,
    read_table,
    write_table,
)
from layerscope.runtime import program

SCRIPTS = Path(program.__file__).parents[2]
# Programs of rules; what only starts others has no arguments of its own.
PROGRAMS = sorted(path.name for path in SCRIPTS.glob("*.py") if "run(main)" in path.read_text())
CLASSES = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-drug", "I-drug"]
FINETUNING = json.dumps(
    {"learning_rate": 1e-3, "epochs": 1, "batch_size": 4, "max_length": 48, "warmup_ratio": 0.0}
)

# Asks each program for its help in a fork, and says which libraries it brings in for that.
HELP = """
import contextlib, io, json, os, runpy, sys
import matplotlib.figure, numpy, pyarrow.parquet, pydantic, yaml  # light, and many need them
programs = sys.argv[1:]
for name in programs:
    if os.fork():
        os.wait()
        continue
    sys.argv = [name, "--help"]
    text = io.StringIO()
    code = None
    with contextlib.redirect_stdout(text):
        try:
            runpy.run_path(name, run_name="__main__")
        except SystemExit as end:
            code = end.code
    print(json.dumps([name, code, text.getvalue(), sorted(sys.modules)]), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-c", HELP, *PROGRAMS],
        cwd=SCRIPTS,
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {found[0]: found[1:] for found in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_is_given_without_heavy_libraries(name: str, helps: dict[str, Any]) -> None:
    code, text, modules = helps[name]
    assert code == 0
    assert text.startswith("usage:")
    assert len(text.split("\n\n")[1]) > 20  # it says what the program is for
    heavy = {"torch", "transformers", "tokenizers", "sklearn", "scipy", "pandas"}
    assert not heavy & set(modules)


def call(module: Any, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a program's main in this process."""
    monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, arguments)])
    module.main()


def failure(name: str, *arguments: object) -> str:
    """What a program that must fail prints, from a process of its own."""
    result = run_program(SCRIPTS / name, *arguments, environment=os.environ | server_of_jobs())
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


# --- mistakes ----------------------------------------------------------------------------------


def test_a_missing_model_gives_one_line(tmp_path: Path) -> None:
    settings = json.dumps({"kind": "folder", "path": str(tmp_path / "nowhere")})
    out = tmp_path / "model"
    message = failure("fetch_model.py", "--settings", settings, "--out", out)
    assert message.startswith(f"error: {tmp_path}/nowhere: no config.json; allowed: ")
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nor anything half made


def test_missing_data_give_one_line(tmp_path: Path) -> None:
    missing, out = tmp_path / "missing.parquet", tmp_path / "out.parquet"
    common = ["--data", missing, "--kind", "nli", "--limit", "10", "--seed", "1"]
    message = failure("sample_for_probes.py", *common, "--out", out)
    assert message == f"error: {missing}: no such file\n"
    assert not list(tmp_path.iterdir())


def test_a_missing_base_gives_one_line_from_a_program_that_trains(tmp_path: Path) -> None:
    table, sample = tmp_path / "table.parquet", tmp_path / "sample.parquet"
    write_table(table, "nli", nli_table([("a", "b", "neutral")]).to_pylist(), {"labels": CLASSES})
    write_table(sample, "sample", {"example_id": ["p0"]})
    before = sorted(tmp_path.iterdir())
    message = failure(
        "finetune.py",
        *("--kind", "nli", "--architecture", "encoder", "--settings", FINETUNING, "--seed", 1),
        *("--model", tmp_path / "nowhere", "--train", table, "--sample", sample),
        *("--validation", table, "--out", tmp_path / "out"),
    )
    assert (
        message
        == f"error: {tmp_path}/nowhere: no such file or folder; allowed: one that is there\n"
    )
    assert sorted(tmp_path.iterdir()) == before


# --- what they do ------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Prepared tables of both kinds and samples of them."""
    folder = tmp_path / "data"
    pairs = nli_table([(TEXTS[i % 7], TEXTS[(i + 2) % 7], CLASSES[i % 3]) for i in range(12)])
    sentences = ner_table(
        [(words, ["B-drug", *["O"] * (len(words) - 1)]) for words in map(str.split, TEXTS)]
    )
    write_table(folder / "nli.parquet", "nli", pairs.to_pylist(), {"labels": CLASSES})
    write_table(folder / "ner.parquet", "ner", sentences.to_pylist(), {"labels": TAGS})
    for kind, ids in (("nli", ["p7", "p1", "p4"]), ("ner", ["s3", "s0"])):
        write_table(folder / f"{kind}-sample.parquet", "sample", {"example_id": ids})
    return folder


@pytest.mark.parametrize("limit", ["all", "6", "1"])
def test_samples_for_probes_keep_to_their_limit(
    limit: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sample.parquet"
    arguments = ["--data", data / "nli.parquet", "--kind", "nli", "--seed", 1, "--out", out]
    if limit == "1":  # groups of two: none fits
        from layerscope.core.errors import UserError

        with pytest.raises(UserError, match=r"^probe_limit 1: too small for the first group drawn"):
            call(sample_for_probes, monkeypatch, *arguments, "--limit", limit)
        return
    call(sample_for_probes, monkeypatch, *arguments, "--limit", limit)
    ids = read_table(out, "sample").column("example_id").to_pylist()
    assert len(ids) == (12 if limit == "all" else 6)
    assert ids == [f"p{index}" for index in range(12) if f"p{index}" in ids]


def test_a_limit_of_words_counts_words(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sample.parquet"
    arguments = ["--data", data / "ner.parquet", "--kind", "ner", "--seed", 1, "--out", out]
    call(sample_for_probes, monkeypatch, *arguments, "--limit", 25)
    ids = set(read_table(out, "sample").column("example_id").to_pylist())
    words = [len(text.split()) for index, text in enumerate(TEXTS) if f"s{index}" in ids]
    assert 1 <= len(words) < 7
    assert sum(words) <= 25


def tuned(
    kind: str, seed: int, tiny: Tiny, data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    call(
        finetune,
        monkeypatch,
        *("--kind", kind, "--architecture", tiny.architecture, "--settings", FINETUNING),
        *("--seed", seed, "--model", tiny.folder, "--train", data / f"{kind}.parquet"),
        *("--sample", data / f"{kind}-sample.parquet", "--validation", data / f"{kind}.parquet"),
        *("--out", out),
    )
    return out


def extracted(
    kind: str, tiny: Tiny, data: Path, model: Path, variant: str, out: Path,
    monkeypatch: pytest.MonkeyPatch, *more: object,
) -> Path:  # fmt: skip
    views = ["word"] if kind == "ner" else ["separate", "joint"]
    call(
        extract,
        monkeypatch,
        *("--task", "t", "--name", "m", "--variant", variant, "--kind", kind),
        *("--architecture", tiny.architecture, "--settings", "{}", "--model", model),
        *("--probe-rows", "validation", "--data", data / f"{kind}.parquet"),
        *("--samples", data / f"{kind}-sample.parquet", "--test", data / f"{kind}.parquet"),
        *("--views", *views),
        *("--out-activations", out / "activations", "--out-attention", out / "attention.parquet"),
        *("--attention-settings", '{"examples": 3}'),
        *more,
    )
    return out


@pytest.mark.parametrize("kind", ["nli", "ner"])
def test_fine_tuning_and_extraction_work_together(
    kind: str, tiny: Tiny, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = tuned(kind, 1, tiny, data, tmp_path / "one", monkeypatch)
    two = tuned(kind, 2, tiny, data, tmp_path / "two", monkeypatch)
    history = json.loads((one / "history.json").read_text())
    assert history["examples"] == (3 if kind == "nli" else 2)

    names = []
    for name in ("a", "b"):
        out = extracted(
            kind, tiny, data, one, "f50-s1", tmp_path / name, monkeypatch,
            *("--out-predictions", tmp_path / name / "predictions.parquet"),
            *("--before", tiny.folder, "--other-seed", two),
            *("--test-sample", data / f"{kind}-sample.parquet"),
        )  # fmt: skip
        names.append(sorted(path.relative_to(out) for path in out.rglob("*.parquet")))
    assert names[0] == names[1]
    assert len(names[0]) == (4 if kind == "ner" else 6)
    for path in names[0]:  # the same inputs give the same bytes
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path

    predictions = read_table(tmp_path / "a" / "predictions.parquet", "predictions")
    rows = 12 if kind == "nli" else sum(len(text.split()) for text in TEXTS)
    assert predictions.num_rows == rows
    measures = set(
        read_table(tmp_path / "a" / "attention.parquet", "attention").column("measure").to_pylist()
    )
    assert {"cosine", "jsd", "jsd_no_special", "jsd_null_head", "jsd_ceiling"} <= measures
    view = "joint" if kind == "nli" else "word"
    for split in ("test", "validation"):
        path = tmp_path / "a" / "activations" / view / f"{split}.parquet"
        ids = read_keys(path)["example_id"]
        # The sample's rows in the order of the table, not of the sample.
        assert list(dict.fromkeys(ids)) == (["p1", "p4", "p7"] if kind == "nli" else ["s0", "s3"])
    described = activation_metadata(path)
    assert {name: described[name] for name in ("task", "model", "variant", "split")} == {
        "task": "t",
        "model": "m",
        "variant": "f50-s1",
        "split": "validation",
    }


#: Two draws of random weights are two variants.
VARIANTS = ("pretrained", "random-s0", "random-s1")


def test_pretrained_and_random_variants_differ(
    encoder: Tiny, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variant in VARIANTS:
        out = tmp_path / variant
        extracted("ner", encoder, data, encoder.folder, variant, out, monkeypatch)
        measures = read_table(out / "attention.parquet", "attention").column("measure")
        assert set(measures.to_pylist()) == {"entropy", "distance", "special", "first"}
    one, other, further = (
        read_layer(tmp_path / variant / "activations" / "word" / "test.parquet", 2)
        for variant in VARIANTS
    )
    assert one.shape == other.shape == further.shape
    for pair in ((one, other), (one, further), (other, further)):
        assert np.abs(pair[0] - pair[1]).max() > 0.1


def test_a_model_is_fetched_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save_encoder(tmp_path / "source")
    settings = json.dumps({"kind": "folder", "path": str(source)})
    base = tmp_path / "base"
    call(fetch_model, monkeypatch, "--settings", settings, "--out", base)
    assert (base / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()

    texts = [" . ".join(TEXTS)] * 6
    corpus = tmp_path / "corpus.parquet"
    write_table(corpus, "corpus", {"text_id": [str(i) for i in range(6)], "text": texts})
    training = {"steps": 2, "batch_size": 4, "sequence_length": 24, "learning_rate": 1e-3}
    call(
        pretrain,
        monkeypatch,
        *("--name", "m-bio", "--corpus-name", "bio", "--architecture", "encoder"),
        *("--settings", json.dumps({"training": training}), "--base", base),
        *("--train", corpus, "--heldout", corpus, "--out", tmp_path / "out"),
        *("--out-evaluation", tmp_path / "evaluation.json"),
    )
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert (found["model"], found["corpus"], found["objective"]) == ("m-bio", "bio", "masked")
    assert [evaluation["step"] for evaluation in found["evaluations"]] == [0, 1, 2]
    assert (tmp_path / "out" / "model.safetensors").is_file()


# --- killed and run again ----------------------------------------------------------------------


def kill_before(rename: int, module: Any, *arguments: object) -> None:
    """SIGKILL a program before one of its renames, counted from 1: a fork of this process."""
    child = os.fork()
    if child == 0:
        left, original = rename, os.replace

        def halt(*paths: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            original(*paths)

        os.replace = halt  # type: ignore[assignment]
        sys.argv = [f"{module.__name__}.py", *map(str, arguments)]
        try:
            module.main()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_extraction_and_probing_restart_cleanly(
    encoder: Tiny, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extraction(out: Path) -> list[object]:
        return [
            *("--task", "t", "--name", "m", "--variant", "pretrained", "--kind", "ner"),
            *("--architecture", "encoder", "--settings", "{}", "--model", encoder.folder),
            *("--probe-rows", "validation", "--data", data / "ner.parquet", "--views", "word"),
            *("--samples", data / "ner-sample.parquet", "--test", data / "ner.parquet"),
            *("--attention-settings", '{"examples": 3}'),
            *("--out-activations", out / "activations", "--out-attention", out / "attention"),
        ]

    def probing(out: Path) -> list[object]:
        return [
            *("--kind", "ner", "--probe-settings", '{"kind": "linear"}', "--views", "word"),
            *("--activations", tmp_path / "whole" / "activations", "--out", out / "probes"),
            *("--probe-rows", "validation", "--out-predictions", out / "predictions"),
        ]

    for module, arguments, renames, last in (
        # The renames: each split's file, the folder of both, the table of attention.
        (extract, extraction, (2, 4), "attention"),
        (probe, probing, (1, 2), "probes"),
    ):
        call(module, monkeypatch, *arguments(tmp_path / "whole"))
        for rename in renames:
            kill_before(rename, module, *arguments(tmp_path / "again"))
            hidden = list((tmp_path / "again").rglob(".*"))
            assert hidden, f"{module} was not killed in the middle"
            assert not (tmp_path / "again" / last).exists()
        call(module, monkeypatch, *arguments(tmp_path / "again"))
        assert files(tmp_path / "again") == files(tmp_path / "whole")
