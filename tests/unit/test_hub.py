"""Fetching from a hub, by the real programs in processes of their own, against one on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from forking import run_program
from hub import Hub, serving

from layerscope.core.errors import UserError
from layerscope.download.sources import model_files
from layerscope.runtime import program

SCRIPTS = Path(program.__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
MODEL, DATA = "somebody/a-model", "somebody/some-data"
WEIGHTS = bytes(range(256)) * 1200  # 307,200 bytes
NEEDED = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]
SECRET = "hf_averysecrettoken"  # noqa: S105

START = Path(__file__).with_name("without_waiting.py")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with a model and a data set."""
    model, data = tmp_path / "hub" / "model", tmp_path / "hub" / "data"
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


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def hub_file(hub: Hub, name: str) -> bytes:
    return (hub.repositories[MODEL].folder / name).read_bytes()


# --- what is fetched ---------------------------------------------------------------------------


def test_a_model_is_fetched_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    result = fetched(hub, tmp_path)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted([*NEEDED, "source.json"])
    assert (out / "model.safetensors").read_bytes() == WEIGHTS
    assert (out / "vocab.txt").read_bytes() == hub_file(hub, "vocab.txt")
    assert json.loads((out / "config.json").read_text()) == {"model_type": "bert"}  # no auto_map
    assert sorted(hub.files()) == sorted(NEEDED)
    assert not list(tmp_path.glob(".out*"))  # the download takes no space any more

    on_hub = {name: sha256(hub_file(hub, name)) for name in NEEDED}
    source = json.loads((out / "source.json").read_text())
    assert source == {
        "origin": {
            "repository": MODEL,
            "revision": REVISION,
            "license": "apache-2.0",
            "endpoint": hub.endpoint,
        },
        "sha256_on_hub": on_hub,
        "sha256": {name: sha256((out / name).read_bytes()) for name in NEEDED},
    }
    assert source["sha256"]["config.json"] != on_hub["config.json"]
    # What is printed can be pasted into the configuration, and is required from then on.
    pasted = yaml.safe_load(result.stdout)
    assert pasted == {"sha256": on_hub}
    fetched(hub, tmp_path, model_settings(**pasted))


def test_data_files_are_fetched_under_their_paths(hub: Hub, tmp_path: Path) -> None:
    result = fetched(hub, tmp_path, data_settings())
    names = data_settings()["files"]
    assert sorted(hub.files()) == names
    source = json.loads((tmp_path / "out" / "source.json").read_text())
    assert source["origin"]["repository"] == DATA
    assert source["origin"]["license"] == "not stated"
    for name in names:
        content = (hub.repositories[f"datasets/{DATA}"].folder / name).read_bytes()
        assert (tmp_path / "out" / name).read_bytes() == content
        assert source["files"][name] == {
            "sha256": sha256(content),
            "bytes": len(content),
            "lines": 5,
        }
    found = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(found) == len(names) + 1
    assert list(yaml.safe_load(result.stdout)["sha256"]) == names


def test_without_a_token_none_is_sent(hub: Hub, tmp_path: Path) -> None:
    fetched(hub, tmp_path)
    assert hub.requests
    assert not [entry for entry in hub.requests if "authorization" in entry.headers]


def test_a_token_goes_to_the_hub_alone_and_is_kept_nowhere(hub: Hub, tmp_path: Path) -> None:
    result = fetched(hub, tmp_path, HF_TOKEN=SECRET)
    sent = {entry.origin: entry.headers.get("authorization") for entry in hub.requests}
    assert sent == {"hub": f"Bearer {SECRET}", "storage": None}
    assert SECRET not in result.stdout + result.stderr
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_a_password_in_the_endpoint_is_shown_nowhere(hub: Hub, tmp_path: Path) -> None:
    endpoint = hub.endpoint.replace("//", "//me:hidden@")
    result = fetched(hub, tmp_path, HF_ENDPOINT=endpoint)
    record = (tmp_path / "out" / "source.json").read_text()
    assert json.loads(record)["origin"]["endpoint"] == hub.endpoint
    other = tmp_path / "other"
    missing = model_settings(repository="no/such")
    message = refused(hub, other, missing, HF_ENDPOINT=endpoint)
    assert "hidden" not in result.stdout + result.stderr + record + message


@pytest.mark.parametrize("address", ["huggingface.co", "ftp://huggingface.co"])
def test_an_endpoint_that_is_no_address_is_refused(address: str, hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, HF_ENDPOINT=address)
    assert address in message
    assert "https://huggingface.co" in message


# --- digests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_wrong_digest_is_refused(name: str, hub: Hub, tmp_path: Path) -> None:
    wrong = "0" * 64
    message = refused(hub, tmp_path, model_settings(sha256={name: wrong}))
    found = sha256(hub_file(hub, name))
    assert (
        f"'{MODEL}' at {REVISION}, file '{name}': found sha256 {found}, wanted {wrong}" in message
    )
    if name == "model.safetensors":  # the hub says so before anything is downloaded
        assert hub.files() == []


def test_a_digest_of_a_file_that_is_not_needed_is_refused(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, model_settings(sha256={"tf_model.h5": "0" * 64}))
    assert f"'sha256' names 'tf_model.h5', which is not needed; allowed: {', '.join(NEEDED)}" in (
        message
    )


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_other_bytes_than_announced_are_refused(name: str, hub: Hub, tmp_path: Path) -> None:
    content = hub_file(hub, name)
    hub.faults.instead[name] = b"!" + content[1:]
    message = refused(hub, tmp_path)
    assert f"file '{name}': arrived with " in message
    assert "which the hub announces; run again" in message
    hub.faults.instead.clear()
    fetched(hub, tmp_path)
    assert (tmp_path / "out" / name).read_bytes() == content


# --- transfers that break ----------------------------------------------------------------------


def test_a_transfer_that_is_cut_off_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.faults.cut["model.safetensors"] = [100_000, 50_000]
    result = fetched(hub, tmp_path)
    assert hub.ranges("model.safetensors") == [None, "bytes=100000-", "bytes=150000-"]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == WEIGHTS
    assert waits(result) == [1, 2]


def test_a_hub_without_ranges_sends_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.cut["model.safetensors"] = [100_000]
    hub.faults.no_ranges = True
    fetched(hub, tmp_path)
    assert hub.ranges("model.safetensors") == [None, "bytes=100000-"]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == WEIGHTS


def test_transfers_are_not_tried_forever(hub: Hub, tmp_path: Path) -> None:
    hub.faults.cut["model.safetensors"] = [1000] * 50
    message = refused(hub, tmp_path)
    tries = len(hub.ranges("model.safetensors"))
    assert 3 <= tries <= 10
    assert (
        f"file 'model.safetensors': no answer from {hub.endpoint} (RemoteProtocolError" in message
    )
    # And the next run goes on where this one stopped.
    hub.faults.cut.clear()
    fetched(hub, tmp_path)
    assert hub.ranges("model.safetensors")[tries:] == [f"bytes={1000 * tries}-"]


def test_a_killed_download_goes_on_in_the_next_run(hub: Hub, tmp_path: Path) -> None:
    hub.faults.stall["model.safetensors"] = 120_000
    process = subprocess.Popen(
        [sys.executable, str(START), *arguments("fetch_model", tmp_path / "out", model_settings())],
        env=environment(hub, tmp_path),
        stderr=subprocess.DEVNULL,
    )
    try:
        assert hub.stalled.wait(60)
        deadline = time.monotonic() + 60
        while sum(path.stat().st_size for path in tmp_path.rglob("*.part")) < 120_000:
            assert time.monotonic() < deadline, "what arrives is not written"
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not (tmp_path / "out").exists()

    asked = len(hub.requests)
    fetched(hub, tmp_path)
    assert hub.ranges("model.safetensors") == [None, "bytes=120000-"]
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == WEIGHTS
    again = [entry.file for entry in hub.requests[asked:]]
    assert "config.json" not in again  # that was there
    assert not list(tmp_path.glob(".out*"))


def test_a_part_of_another_commit_is_not_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.faults.cut["model.safetensors"] = [1000] * 50
    refused(hub, tmp_path)
    assert list(tmp_path.rglob("*.part"))
    hub.faults.cut.clear()
    hub.repositories[MODEL].revision = "f" * 40
    tries = len(hub.ranges("model.safetensors"))
    fetched(hub, tmp_path, model_settings(revision="f" * 40))
    assert hub.ranges("model.safetensors")[tries:] == [None]
    assert not list(tmp_path.rglob("*.part"))


# --- a hub in trouble --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["", "vocab.txt"])
def test_errors_of_the_hub_pass(where: str, hub: Hub, tmp_path: Path) -> None:
    hub.faults.answers[where] = [500, 503]
    assert waits(fetched(hub, tmp_path)) == [1, 2]


def test_errors_that_stay_are_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults.answers["vocab.txt"] = [500] * 50
    message = refused(hub, tmp_path)
    assert f"'{MODEL}' at {REVISION}, file 'vocab.txt': the hub answers 500; run again" in message


@pytest.mark.parametrize(
    ("retry_after", "ratelimit", "expected"),
    [(7, None, 7), (None, '"resolvers";r=0;t=55', 55), (None, None, 1)],
)
def test_a_limit_is_waited_for_as_the_hub_asks(
    retry_after: int | None, ratelimit: str | None, expected: float, hub: Hub, tmp_path: Path
) -> None:
    hub.faults.answers["config.json"] = [429]
    hub.faults.retry_after, hub.faults.ratelimit = retry_after, ratelimit
    assert waits(fetched(hub, tmp_path)) == [expected]


@pytest.mark.parametrize(("retry_after", "tries"), [(7, 6), (7200, 1)])
def test_a_limit_is_not_waited_for_forever(
    retry_after: int, tries: int, hub: Hub, tmp_path: Path
) -> None:
    hub.faults.answers["config.json"] = [429] * 50
    hub.faults.retry_after = retry_after
    message = refused(hub, tmp_path)
    assert "file 'config.json': the hub still limits requests (429); run again later" in message
    assert hub.files() == ["config.json"] * tries


# --- what cannot be had ------------------------------------------------------------------------


def test_a_gated_repository_wants_its_terms_accepted(hub: Hub, tmp_path: Path) -> None:
    published = hub.repositories[MODEL]
    published.gated, published.members = True, (SECRET,)
    page = f"accept its terms at {hub.endpoint}/{MODEL} and set a token of that account in HF_TOKEN"
    message = refused(hub, tmp_path)
    assert "file 'config.json': access is gated (401)" in message
    assert page in message
    message = refused(hub, tmp_path, HF_TOKEN="hf_other")  # noqa: S106
    assert "file 'config.json': access is gated (403)" in message
    assert page in message
    assert "hf_other" not in message
    fetched(hub, tmp_path, HF_TOKEN=SECRET)


def test_a_refused_token_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults.answers[""] = [401]
    hub.faults.message = "Invalid credentials in Authorization header"
    message = refused(hub, tmp_path, HF_TOKEN=SECRET)
    assert f"'{MODEL}' at {REVISION}: the hub refuses the token in HF_TOKEN (401)" in message


def test_a_token_that_cannot_be_one_is_not_sent(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, HF_TOKEN=f"{SECRET} and more")
    assert message.startswith("error: HF_TOKEN: holds characters that no token has")
    assert SECRET not in message
    assert hub.requests == []


@pytest.mark.parametrize("settings", [model_settings, data_settings])
def test_an_unknown_repository_is_told(settings: Any, hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, settings(repository="no/such"))
    folder = "datasets/" if settings is data_settings else ""
    assert f"'no/such' at {REVISION}: no such repository, or a private one (401)" in message
    assert f"allowed: one that {hub.endpoint}/{folder}no/such shows" in message


def test_an_unknown_revision_is_told(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, model_settings(revision="f" * 40))
    assert f"'{MODEL}' at {'f' * 40}: no such revision; allowed: a full commit" in message
    assert f"{hub.endpoint}/{MODEL}/commits/main" in message


@pytest.mark.parametrize("name", ["dataset/dev.json", "../secret.json", "/etc/passwd"])
def test_a_file_that_is_not_there_is_told(name: str, hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, data_settings(files=[name]))
    assert f"dataset repository '{DATA}' at {REVISION}: no file '{name}'; allowed: " in message
    assert "dataset/train.json" in message


def test_without_network_the_way_out_is_told(hub: Hub, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound but not listening
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        message = refused(hub, tmp_path, HF_ENDPOINT=endpoint)
    assert f"no answer from {endpoint} (ConnectError" in message
    assert "run `snakemake download` with this configuration where there is network" in message


def test_a_user_who_is_offline_on_purpose_stays_so(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert f"'{MODEL}' at {REVISION}: HF_HUB_OFFLINE is set; unset it" in message
    assert hub.requests == []


def test_what_is_no_hub_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults.answers[""] = [200]  # as the page of a network that wants a login first
    hub.faults.message = "log in"
    message = refused(hub, tmp_path)
    assert f"{hub.endpoint} does not answer as a hub does; allowed: HF_ENDPOINT unset" in message


# --- which files are needed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["config.json", "pytorch_model.bin", "vocab.txt"], None),
        (["model.safetensors", "vocab.txt"], "no config.json; allowed:"),
        (["config.json", "vocab.txt", "tf_model.h5"], "no weights; allowed:"),
        (
            ["config.json", "vocab.txt", "model.safetensors.index.json"],
            "weights in several files; allowed: one file",
        ),
        (["config.json", "model.safetensors"], "no tokenizer file; allowed:"),
    ],
)
def test_a_model_has_configuration_weights_and_tokenizer(
    names: list[str], expected: str | None
) -> None:
    if expected is None:
        assert model_files("here", [*names, "README.md"]) == names
        return
    with pytest.raises(UserError, match=f"^here: {expected}") as caught:
        model_files("here", names)
    assert "\n" not in str(caught.value)
