"""Replicas of the published models, fetched from a hub: they compute what the originals compute."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import Hub, serving
from replicas import ARCHITECTURES, KINDS, LICENSES, PICKLED, REPOSITORIES, make_replica
from safetensors.torch import load_file
from tiny_models import TEXTS, ner_table
from transformers import AutoModel, AutoModelForCausalLM

from layerscope.core.errors import UserError
from layerscope.core.formats import write_table
from layerscope.models.convert import convert_pickle
from layerscope.models.load import fuse_activations, load_language_model, load_model, load_with_head
from layerscope.models.tokenizers import load_tokenizer
from layerscope.runtime import program

pytestmark = pytest.mark.slow

SCRIPTS = Path(program.__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"


def environment(hub: Hub) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "LAYERSCOPE_"))}
    return {**kept, "NO_PROXY": "*", "HF_ENDPOINT": hub.endpoint, "OMP_NUM_THREADS": "1"}


def run(hub: Hub, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *map(str, arguments)],
        env=environment(hub),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def settings(kind: str) -> str:
    source = {"kind": "hub", "repository": REPOSITORIES[kind], "revision": REVISION, "sha256": {}}
    return json.dumps(source)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the four models, two of them pickled alone."""
    folder = tmp_path_factory.mktemp("hub")
    with serving() as hub:
        for kind in KINDS:
            replica = make_replica(kind, folder / kind, pickled=kind in PICKLED)
            hub.publish(REPOSITORIES[kind], replica, REVISION, license=LICENSES[kind])
        yield hub


@pytest.fixture(scope="module")
def fetch(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Fetches a kind of model, once, and gives its folder."""
    folder = tmp_path_factory.mktemp("models")

    def fetch_once(kind: str) -> Path:
        out = folder / kind
        if not out.exists():
            result = run(hub, "fetch_model.py", "--settings", settings(kind), "--out", out)
            assert result.returncode == 0, result.stderr
        return out

    return fetch_once


@pytest.fixture(params=KINDS)
def fetched(
    request: pytest.FixtureRequest, hub: Hub, fetch: Callable[[str], Path]
) -> tuple[str, Path, Path]:
    """Kind, folder on the hub, and folder that the model was fetched to."""
    kind = request.param
    return kind, hub.repositories[REPOSITORIES[kind]].folder, fetch(kind)


def original(auto: Any, folder: Path) -> Any:
    """A model as transformers reads the files of the hub themselves."""
    pickled = not (folder / "model.safetensors").exists()
    return auto.from_pretrained(folder, use_safetensors=not pickled, dtype=torch.float32).eval()


def test_no_pickle_and_no_code_is_kept(fetched: tuple[str, Path, Path], hub: Hub) -> None:
    kind, _, out = fetched
    names = {path.name for path in out.iterdir()}
    assert "model.safetensors" in names
    assert all(name.endswith((".json", ".txt", ".safetensors")) for name in names), names
    asked = {
        entry.file for entry in hub.requests if entry.path.startswith(f"/{REPOSITORIES[kind]}/")
    }
    assert asked == set(json.loads((out / "source.json").read_text())["sha256_on_hub"])
    assert ("pytorch_model.bin" in asked) == (kind in PICKLED)


def test_the_record_has_digests_before_and_after(fetched: tuple[str, Path, Path]) -> None:
    kind, _, out = fetched
    source = json.loads((out / "source.json").read_text())
    assert source["origin"]["license"] == LICENSES[kind]
    assert "model.safetensors" in source["sha256"]
    assert ("pytorch_model.bin" in source["sha256_on_hub"]) == (kind in PICKLED)
    assert set(source["sha256"]) | {"source.json"} == {path.name for path in out.iterdir()}


def test_hidden_states_are_those_of_the_original(fetched: tuple[str, Path, Path]) -> None:
    kind, folder, out = fetched
    tokenizer = load_tokenizer(out)
    batch = tokenizer(TEXTS[:3], return_tensors="pt", padding=True)
    with torch.no_grad():
        ours = load_model(out, tokenizer)(**batch, output_hidden_states=True).hidden_states
        reference = fuse_activations(original(AutoModel, folder))  # equal to rounding: a test
        theirs = reference(**batch, output_hidden_states=True).hidden_states
    assert len(ours) == len(theirs) >= 3
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert theirs[-1].std() > 0.01
    if ARCHITECTURES[kind] == "decoder":
        with torch.no_grad():
            logits = load_language_model(out, tokenizer, "decoder")(**batch).logits
            reference = fuse_activations(original(AutoModelForCausalLM, folder))
            expected = reference(**batch).logits
        torch.testing.assert_close(logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind_of_task", ["nli", "ner"])
def test_a_head_can_be_put_on(kind_of_task: str, fetched: tuple[str, Path, Path]) -> None:
    _, _, out = fetched
    tokenizer = load_tokenizer(out)
    model = load_with_head(out, tokenizer, kind_of_task, ["a", "b", "c"])  # checks what is missing
    assert model.config.num_labels == 3


#: Runs programs one after the other, as `python PROGRAM ARGUMENTS` would each.
PROGRAMS = """
import json, os, runpy, sys
calls = json.loads(sys.argv[1])
sys.path.insert(0, os.path.dirname(calls[0][0]))
for sys.argv in calls:
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_what_comes_later_asks_no_hub(
    hub: Hub, fetch: Callable[[str], Path], tmp_path: Path
) -> None:
    """Fine-tuning and extraction read files; a hub that could be reached hears nothing."""
    table, sample = tmp_path / "table.parquet", tmp_path / "sample.parquet"
    sentences = ner_table([(t.split(), ["B-x", *["O"] * (len(t.split()) - 1)]) for t in TEXTS])
    write_table(table, "ner", sentences.to_pylist(), {"labels": ["O", "B-x", "I-x"]})
    write_table(sample, "sample", {"example_id": ["s0", "s2"]})
    training = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 4, "max_length": 48}
    common = ["--kind", "ner", "--architecture", "encoder", "--model", fetch("biobert")]
    tuned, activations = tmp_path / "tuned", tmp_path / "activations"
    calls = [
        [
            *(SCRIPTS / "finetune.py", *common, "--settings", json.dumps(training), "--seed", "1"),
            *("--train", table, "--sample", sample, "--validation", table, "--out", tuned),
        ],
        [
            *(SCRIPTS / "extract.py", *common, "--settings", "{}", "--task", "t", "--name", "m"),
            *("--variant", "pretrained", "--data", table, "--test", table),
            *(
                "--probe-rows",
                "train",
                "--samples",
                sample,
                "--views",
                "word",
                "--out-activations",
                activations,
            ),
        ],
    ]
    asked = len(hub.requests)
    result = subprocess.run(
        [sys.executable, "-c", PROGRAMS, json.dumps(calls, default=str)],
        env=environment(hub),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert (tuned / "model.safetensors").is_file()
    assert list(activations.rglob("train.parquet"))
    assert len(hub.requests) == asked


# --- pickles -----------------------------------------------------------------------------------


class Attack:
    """What runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.proof}",)


def test_a_pickle_that_would_run_code_is_refused(hub: Hub, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    folder = make_replica("biobert", tmp_path / "bad", pickled=True)
    weights = {"a": torch.zeros(2), "b": Attack(proof)}
    torch.save(weights, folder / "pytorch_model.bin")
    hub.publish("bad/one", folder, REVISION)
    source = json.dumps({**json.loads(settings("biobert")), "repository": "bad/one"})
    result = run(hub, "fetch_model.py", "--settings", source, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith("error: pytorch_model.bin: not only weights:")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_no_form_of_pickle_runs_code(zipped: bool, tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / "pytorch_model.bin"
    torch.save({"b": Attack(proof)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"^pytorch_model\.bin: not only weights:"):
        convert_pickle(path, tmp_path / "model.safetensors")
    assert not proof.exists()
    torch.load(path, weights_only=False)  # the attack is one
    assert proof.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_shared_and_strided_tensors_are_written_whole(zipped: bool, tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    weights = {"a": base, "tied": base, "row": base[1], "turned": base.T, "count": torch.tensor(3)}
    path = tmp_path / "weights.bin"
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    convert_pickle(path, tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert set(found) == set(weights)
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "contains no weights"),
        ([torch.zeros(1)], "contains no weights"),
        ({"a": torch.zeros(1), "epoch": 3}, "'epoch' is not a tensor"),
        ({"model": {"a": torch.zeros(1)}}, "'model' is not a tensor"),
        (b"", "weights"),
        (b"not a pickle at all", "weights"),
        (pickle.dumps({"a": 1}, protocol=2), "weights"),
    ],
)
def test_what_is_no_weights_gives_one_line(content: Any, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=f"^pytorch_model.bin: .*{expected}") as caught:
        convert_pickle(path, tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_pickle_that_is_cut_off_gives_one_line(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.bin", tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.zeros(5000)}, whole)
    path.write_bytes(whole.read_bytes()[:9000])
    with pytest.raises(UserError, match=r"^pytorch_model\.bin: ") as caught:
        convert_pickle(path, tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)
