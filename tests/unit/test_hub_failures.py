"""Fetching from a hub: transfers that break, a hub in trouble, and what cannot be had."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fetching import (
    DATA,
    MODEL,
    REVISION,
    SECRET,
    START,
    WEIGHTS,
    arguments,
    data_settings,
    environment,
    fetched,
    hub_file,
    model_settings,
    refused,
    waits,
)
from hub import Hub

pytestmark = pytest.mark.slow

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
    assert "file 'config.json': the hub is still limiting requests (429); run again" in message
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
    assert f"'{MODEL}' at {REVISION}: the hub rejects the token in HF_TOKEN (401)" in message


def test_a_token_that_cannot_be_one_is_not_sent(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, HF_TOKEN=f"{SECRET} and more")
    assert message.startswith("error: HF_TOKEN: contains characters that a token cannot have")
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


def test_a_file_that_is_not_there_is_told(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, data_settings(files=["dataset/dev.json"]))
    assert f"'{DATA}' at {REVISION}: no file 'dataset/dev.json'; allowed: " in message
    assert "dataset/train.json" in message


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "a/../../b", "..\\c"])
def test_a_file_outside_its_folder_is_refused(name: str, hub: Hub, tmp_path: Path) -> None:
    """Also where a hub says that it has one."""
    message = refused(hub, tmp_path, data_settings(files=[name]))
    assert f"'{DATA}' at {REVISION}: file '{name}'; allowed: a path below the repo" in message


def test_a_name_that_has_no_address_is_not_waited_for(hub: Hub, tmp_path: Path) -> None:
    start = time.monotonic()
    refused(hub, tmp_path, HF_ENDPOINT="http://no-such-hub.invalid")
    assert time.monotonic() - start < 20  # six tries would wait 31 s


def test_a_transfer_ends_at_the_announced_size(hub: Hub, tmp_path: Path) -> None:
    content = hub_file(hub, "vocab.txt")
    hub.faults.instead["vocab.txt"] = content + b"x" * 100_000_000
    message = refused(hub, tmp_path)
    assert "file 'vocab.txt': no answer" in message
    assert f" of {len(content)} bytes" in message
    arrived = re.search(r"(\d+) of", message)
    assert arrived
    assert int(arrived[1]) < 10_000_000


def test_without_network_the_way_out_is_told(hub: Hub, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound but not listening
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        message = refused(hub, tmp_path, HF_ENDPOINT=endpoint)
    assert f"no answer from {endpoint} (ConnectError" in message
    assert "run `snakemake download` with this configuration where there is a network" in message


def test_a_user_who_is_offline_on_purpose_stays_so(hub: Hub, tmp_path: Path) -> None:
    message = refused(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert f"'{MODEL}' at {REVISION}: HF_HUB_OFFLINE is set; unset it" in message
    assert hub.requests == []


def test_what_is_no_hub_is_told(hub: Hub, tmp_path: Path) -> None:
    hub.faults.answers[""] = [200]  # as the page of a network that wants a login first
    hub.faults.message = "log in"
    message = refused(hub, tmp_path)
    assert f"{hub.endpoint} does not answer as a model hub does; allowed: " in message
