"""Files appear whole or not at all; JSON is canonical; digests tell content apart."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from layerscope.core import files
from layerscope.core.errors import UserError, show
from layerscope.runtime import program
from layerscope.runtime.disks import refusal

SCRIPTS = Path(files.__file__).parents[2]

# Starts to write a file or a directory, says so, and waits to be killed.
WRITER = """
import sys, time
from pathlib import Path
from layerscope.core.files import whole_directory, whole_file
from layerscope.runtime.program import run

def main():
    kind, path = sys.argv[1:]
    with (whole_file if kind == "file" else whole_directory)(path) as partial:
        (partial if kind == "file" else partial / "part").write_text("half")
        print("writing", flush=True)
        for _ in range(600):  # a signal just before a sleep would wait for its end
            time.sleep(0.1)

run(main)
"""


def kill_while_writing(kind: str, path: Path, number: int) -> int:
    """Start the writer, send it a signal while it writes, and give its exit status."""
    command = [sys.executable, "-c", WRITER, kind, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        writer.send_signal(number)
        return writer.wait(timeout=30)


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with files.whole_file(path) as partial:
        partial.write_text("whole")
        assert partial.parent == path.parent  # the same file system, so a rename is one step
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with files.whole_file(tmp_path / "a.txt") as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")

    def write() -> None:
        with files.whole_file(tmp_path / "out.txt"), open(tmp_path / "full", "w") as handle:
            handle.write("x")

    with pytest.raises(OSError, match=r"No space left on device: '.*out\.txt'"):
        write()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        files.write_json(path, {"a": {1, 2}})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_write_that_makes_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.whole_file(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_directory_appears_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in ("one", "two"):
        with files.whole_directory(path) as partial:
            assert os.listdir(partial) == []
            (partial / content).write_text(content)
        assert os.listdir(path) == [content]
        assert os.listdir(tmp_path) == ["model"]


def test_a_failed_write_leaves_the_old_directory(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with files.whole_directory(path) as partial:
        (partial / "weights").write_text("old")

    def write() -> None:
        with files.whole_directory(path) as partial:
            (partial / "weights").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (path / "weights").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_polite_kill_in_the_middle_leaves_nothing(tmp_path: Path, kind: str) -> None:
    status = kill_while_writing(kind, tmp_path / "out", signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_hard_kill_in_the_middle_leaves_no_output(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    assert kill_while_writing(kind, path, signal.SIGKILL) == -signal.SIGKILL
    assert not path.exists()
    # what it could not clear away does not stand in the way of the next try
    if kind == "file":
        files.write_json(path, 1)
    else:
        with files.whole_directory(path) as partial:
            (partial / "other").write_text("whole")
        assert os.listdir(path) == ["other"]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_of_two_writers_the_one_that_began_last_wins(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler that lost contact with a node starts the job again elsewhere."""
    whole = files.whole_file if kind == "file" else files.whole_directory

    def write(text: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        with whole(tmp_path / "out") as partial:
            (partial if kind == "file" else partial / "x").write_text(text)
            meanwhile()

    def second() -> None:
        monkeypatch.setattr(files, "writer", lambda: "node-2")
        write("second")

    with pytest.raises(FileNotFoundError):
        write("first", second)
    out = tmp_path / "out" if kind == "file" else tmp_path / "out" / "x"
    assert out.read_text() == "second"
    assert os.listdir(tmp_path) == ["out"]


def test_writers_of_files_with_like_names_leave_each_other_alone(tmp_path: Path) -> None:
    names = ["m", "m.json", "m.v2", "m.partial", ".m"]
    with ExitStack() as stack:
        partials = [stack.enter_context(files.whole_file(tmp_path / name)) for name in names]
        for partial in partials:
            partial.write_text("x")
        assert len(set(partials)) == len(names)
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_canonical_json_depends_on_content_alone() -> None:
    one = {"b": [1, {"y": None, "x": 0.1}], "a": "µ", "c": True}
    other = {"c": True, "a": "µ", "b": [1, {"x": 0.1, "y": None}]}
    text = files.canonical_json(one)
    assert text == '{"a":"µ","b":[1,{"x":0.1,"y":null}],"c":true}'
    assert files.canonical_json(other) == text
    assert json.loads(text) == one
    assert files.canonical_json([2, 1]) != files.canonical_json([1, 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_canonical_json_refuses_what_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json(value)


def test_json_goes_round_and_is_the_same_each_time(tmp_path: Path) -> None:
    value = {"z": [1, 2.5, None], "a": {"naïve": "β-catenin"}}
    files.write_json(tmp_path / "one.json", value)
    files.write_json(tmp_path / "two.json", dict(reversed(value.items())))
    assert files.read_json(tmp_path / "one.json") == value
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert "β-catenin" in (tmp_path / "one.json").read_text(encoding="utf-8")


def test_names_that_are_not_utf8_are_written_and_hashed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff")).write_text("one")
    names = os.listdir(folder)
    assert files.sha256_directory(folder) != files.sha256_text("")
    files.write_json(tmp_path / "names.json", names)
    assert files.read_json(tmp_path / "names.json") == names == ["\udcff"]


def test_json_that_cannot_be_read_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "latin.json").write_bytes(b'"\xe9"')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "long.json").write_text("1" * 5000)
    for name, problem in (
        ("none.json", "no such file"),
        ("bad.json", "not JSON"),
        ("latin.json", "not JSON"),
        ("deep.json", "not JSON"),
        ("long.json", "not JSON"),
        (".", "directory"),
    ):
        with pytest.raises(UserError) as caught:
            files.read_json(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path))
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1]", '"x"', "null", "3"])
def test_json_of_another_shape_gives_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(UserError, match=r"file\.json: holds .*; allowed: a JSON object$"):
        files.read_json_object(tmp_path / "file.json")


def test_long_names_and_lists_are_shortened_in_errors() -> None:
    many = ", ".join(f"label-{number}" for number in range(10_000))
    lines = str(UserError(f"{'k' * 50_000}: 3\ntags: 'x'; allowed: {many}")).splitlines()
    assert [len(line) for line in lines] == [303, 2001]
    assert lines[0].endswith("k: 3")
    assert lines[1].endswith("label-9999")
    assert len(show("x" * 10**6)) == len(show(["x"] * 10**6)) == len(show({1: "x" * 100})) == 60
    assert show(16**9000) == "a number of thousands of digits"


def test_digests_are_sha256(tmp_path: Path) -> None:
    # FIPS 180-4, the example of one block
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_text("abc") == abc
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "abc") == abc
    big = bytes(range(256)) * 9999
    (tmp_path / "big").write_bytes(big)
    assert files.sha256_file(tmp_path / "big") == hashlib.sha256(big).hexdigest()


def test_digest_of_a_directory_follows_names_and_contents(tmp_path: Path) -> None:
    def folder(name: str, content: dict[str, str]) -> str:
        for path, text in content.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return files.sha256_directory(tmp_path / name)

    content = {"config.json": "{}", "sub/weights": "1", "sub/tokenizer": "2"}
    digest = folder("one", content)
    assert folder("two", dict(reversed(content.items()))) == digest
    assert folder("stamped", {**content, ".snakemake_timestamp": "", "sub/.x": "y"}) == digest
    others = [
        folder("changed", {**content, "sub/weights": "3"}),
        folder("renamed", {"config.json": "{}", "sub/w": "1", "sub/tokenizer": "2"}),
        folder("moved", {"config.json": "{}", "weights": "1", "sub/tokenizer": "2"}),
        folder("swapped", {"config.json": "{}", "sub/weights": "2", "sub/tokenizer": "1"}),
        folder("more", {**content, "more": ""}),
    ]
    assert len({digest, *others}) == len(others) + 1
    os.utime(tmp_path / "one" / "config.json", (1, 1))
    assert files.sha256_directory(tmp_path / "one") == digest


def test_a_user_error_ends_a_program_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers

    def main() -> None:
        raise UserError("study.yaml: holds list; allowed: a mapping")

    with pytest.raises(SystemExit) as caught:
        program.run(main)
    assert caught.value.code == "error: study.yaml: holds list; allowed: a mapping"

    def broken() -> None:
        raise RuntimeError("a fault of ours keeps its traceback")

    with pytest.raises(RuntimeError):
        program.run(broken)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: No space left on device"),
        (OSError(errno.EROFS, "Error opening file. Detail: Read-only"), "Detail: Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "No space left"),
        (Exception("Permission denied (os error 13)"), "Permission denied"),
        (RuntimeError("PytorchStreamWriter failed writing file"), "PytorchStreamWriter failed"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "No usable"),
    ],
)
def test_a_disk_that_takes_nothing_ends_a_program_with_one_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        program.run(main)
    (line,) = str(caught.value.code).splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert line.endswith("; allowed: files that can be read, room to write")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("label 'Permission denied' (os error 13)"),
        ValueError("PytorchStreamWriter failed"),
        Exception("No such file or directory (os error 2)"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "Permission denied"),
    ],
)
def test_an_error_that_only_quotes_such_words_is_no_disk_s(error: Exception) -> None:
    assert refusal(error) is None


def test_a_terminal_of_another_encoding_gets_what_it_can_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1", write_through=True))
    program.run(lambda: print("é … \udcff"))
    assert written.getvalue() == b"\xe9 \\u2026 \\udcff\n"
