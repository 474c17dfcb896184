"""Fetching from a hub, by the real programs in processes of their own, against one on loopback."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from fetching import (
    DATA,
    MODEL,
    REVISION,
    SECRET,
    WEIGHTS,
    data_settings,
    fetched,
    hub_file,
    model_settings,
    refused,
)
from hub import Hub
from huggingface_hub import close_session

from layerscope.core.errors import UserError
from layerscope.download.address import require_variables
from layerscope.download.hub import look_up
from layerscope.download.shards import INDEX
from layerscope.download.sources import model_files

pytestmark = pytest.mark.slow

NEEDED = ["config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


SHARDS = {f"model-0000{n}-of-00002.safetensors": bytes([n]) * 1000 for n in (1, 2)}


def publish_shards(hub: Hub) -> None:
    """The model of the hub with its weights in two files, beside files that no index names."""
    folder = hub.repositories[MODEL].folder
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {f"tensor-{n}": name for n, name in enumerate([*SHARDS, *SHARDS])}}
    (folder / INDEX).write_text(json.dumps(index))
    (folder / "consolidated.safetensors").write_text("needless")
    for name, content in SHARDS.items():
        (folder / name).write_bytes(content)


def test_weights_in_shards_are_fetched_with_their_index(hub: Hub, tmp_path: Path) -> None:
    publish_shards(hub)
    result = fetched(hub, tmp_path)
    needed = {*NEEDED, INDEX, *SHARDS} - {"model.safetensors"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == needed | {"source.json"}
    assert sorted(hub.files()) == sorted(needed)
    assert (tmp_path / "out" / list(SHARDS)[1]).read_bytes() == SHARDS[list(SHARDS)[1]]
    assert yaml.safe_load(result.stdout)["sha256"].keys() == needed


@pytest.mark.parametrize("fault", ["missing", "digest", "index"])
def test_a_shard_that_is_not_as_announced_gives_one_line(
    fault: str, hub: Hub, tmp_path: Path
) -> None:
    publish_shards(hub)
    second, folder = list(SHARDS)[1], hub.repositories[MODEL].folder
    settings, said = model_settings(), f"no file '{second}'"
    if fault == "missing":
        (folder / second).unlink()
    elif fault == "digest":
        settings = model_settings(sha256={second: "0" * 64})
        said = f"file '{second}': found sha256 {sha256(SHARDS[second])}, wanted {'0' * 64}"
    else:
        (folder / INDEX).write_text('{"weight_map": {"a": "../config.json"}}')
        said = "weight_map names '../config.json'"
    assert said in refused(hub, tmp_path, settings)
    assert second not in hub.files()


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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SSL_CERT_FILE", "/no/such", "No such file"),
        ("HTTPS_PROXY", "socks5://me:hidden@127.0.0.1:9", "SOCKS proxy"),
        ("ALL_PROXY", "ftp://127.0.0.1:9", "Unknown scheme"),
        ("HF_ENDPOINT", "http://127.0.0.1:99999", "'http://127.0.0.1:99999' is not an address"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "x", "'x'; allowed: unset, or whole seconds"),
    ],
)
def test_variables_that_allow_no_connection_give_one_line(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    close_session()  # of another test

    def connect() -> None:
        require_variables()
        look_up("model", "a/b", REVISION)

    with pytest.raises(UserError) as caught:
        connect()
    (line,) = str(caught.value).splitlines()
    assert name in line.partition(": ")[0]
    assert said in line
    assert "hidden" not in line


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
    assert "which the hub announces; rerun" in message
    hub.faults.instead.clear()
    fetched(hub, tmp_path)
    assert (tmp_path / "out" / name).read_bytes() == content


# --- which files are needed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["config.json", "pytorch_model.bin", "vocab.txt"], None),
        (["config.json", "pytorch_model.bin", "tokenizer_config.json", "spm.model"], None),
        (["config.json", "model.safetensors.index.json", "vocab.txt"], None),
        (["model.safetensors", "vocab.txt"], "no config.json; allowed:"),
        (["config.json", "vocab.txt", "tf_model.h5"], "no weights; allowed:"),
        (
            ["config.json", "vocab.txt", "pytorch_model.bin.index.json"],
            "pickled weights in several files; allowed: model.safetensors, model.saf",
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
