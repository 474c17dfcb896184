"""A hub on loopback with a model and a data set, and the programs that fetch from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forking import run_program
from hub import Hub, serving

from layerscope.runtime import program

SCRIPTS = Path(program.__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
MODEL, DATA = "somebody/a-model", "somebody/some-data"
WEIGHTS = bytes(range(256)) * 1200  # 307,200 bytes
SECRET = "hf_averysecrettoken"  # noqa: S105

START = Path(__file__).with_name("without_waiting.py")


@contextmanager
def publishing(folder: Path) -> Iterator[Hub]:
    """A hub with a model and a data set, from files in a folder."""
    model, data = folder / "model", folder / "data"
    (data / "dataset").mkdir(parents=True)
    model.mkdir(parents=True)
    code = {"auto_map": {"AutoModel": "modeling.Model"}}
    (model / "config.json").write_text(json.dumps({"model_type": "bert", **code}))
    (model / "tokenizer_config.json").write_text('{"do_lower_case": false}\n')
    (model / "vocab.txt").write_text("[PAD]\n[UNK]\nα\n", encoding="utf-8")
    (model / "model.safetensors").write_bytes(WEIGHTS)
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "modeling.py", ".gitattributes"):
        (model / name).write_text("needless")
    for name in ("train", "valid", "test"):
        (data / "dataset" / f"{name}.json").write_text(f'{{"tokens": ["{name}"]}}\n' * 5)
    (data / "dataset" / "label.json").write_text("{}")
    (data / "some-data.py").write_text("raise SystemExit('a loading script was run')")
    with serving() as hub:
        hub.publish(MODEL, model, REVISION, license="apache-2.0")
        hub.publish(f"datasets/{DATA}", data, REVISION)
        yield hub


def arguments(name: str, out: Path, settings: dict[str, Any]) -> list[str]:
    """Of the program that starts a program without waiting."""
    start = [str(SCRIPTS / f"{name}.py")]
    settings = dict(settings)
    digests = settings.pop("sha256")
    stated = ["--settings", json.dumps(settings), "--sha256", json.dumps(digests)]
    return [*start, *stated, "--out", str(out)]


def environment(hub: Hub, folder: Path, **more: str) -> dict[str, str]:
    """Of a user who once stored a token with the hub's own tools."""
    home = folder / "home"
    (home / ".cache" / "huggingface").mkdir(parents=True, exist_ok=True)
    (home / ".cache" / "huggingface" / "token").write_text("hf_stored")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LAYERSCOPE_"))}
    return {**kept, "HOME": str(home), "NO_PROXY": "*", "HF_ENDPOINT": hub.endpoint, **more}


def model_settings(**changes: Any) -> dict[str, Any]:
    return {"kind": "hub", "repository": MODEL, "revision": REVISION, "sha256": {}, **changes}


def data_settings(**changes: Any) -> dict[str, Any]:
    files = ["dataset/test.json", "dataset/train.json", "dataset/valid.json"]
    return {"repository": DATA, "revision": REVISION, "files": files, "sha256": {}, **changes}


def fetch(
    hub: Hub, folder: Path, settings: dict[str, Any] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Fetch the model, or what the settings say, to `folder/out`."""
    settings = settings or model_settings()
    name = "fetch_model" if "kind" in settings else "fetch_files"
    given = arguments(name, folder / "out", settings)
    return run_program(START, *given, environment=environment(hub, folder, **more))


def fetched(*arguments: Any, **more: str) -> subprocess.CompletedProcess[str]:
    result = fetch(*arguments, **more)
    assert result.returncode == 0, result.stderr
    return result


def refused(hub: Hub, folder: Path, *arguments: Any, **more: str) -> str:
    """The one line of a program that refuses, without what it logged before."""
    result = fetch(hub, folder, *arguments, **more)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert not (folder / "out").exists()
    assert not (folder / ".out.partial").exists()
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert [line.startswith("error: ") for line in lines].count(True) == 1, result.stderr
    assert lines[-1].startswith("error: ")
    return lines[-1]


def waits(result: subprocess.CompletedProcess[str]) -> list[float]:
    return [float(found) for found in re.findall(r"^waits (.+)$", result.stderr, re.MULTILINE)]


def hub_file(hub: Hub, name: str) -> bytes:
    return (hub.repositories[MODEL].folder / name).read_bytes()
