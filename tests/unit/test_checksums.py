"""Checksums that are added to a configuration are compared with what was fetched before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layerscope.config.checksums import RequiredChecksums, check_checksums
from layerscope.core.errors import UserError

REVISION, GOOD, BAD = "a" * 40, "1" * 64, "2" * 64


def record(folder: Path, **content: object) -> str:
    path = folder / "source.json"
    path.write_text(json.dumps({"origin": {"revision": REVISION}} | content))
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        {"sha256_on_hub": {"pytorch_model.bin": GOOD}, "sha256": {"model.safetensors": BAD}},
        {"files": {"pytorch_model.bin": {"sha256": GOOD, "bytes": 1, "lines": 1}}},
        {"origin": {"version": REVISION}, "sha256": {"pytorch_model.bin": GOOD}},
        {
            "origin": {"version": REVISION},
            "sha256_at_source": {"pytorch_model.bin": GOOD},
            "sha256": {"model.safetensors": BAD},
        },
    ],
    ids=["model", "data", "package", "converted"],
)
def test_a_checksum_has_to_be_that_of_the_fetch(content: dict[str, object], tmp_path: Path) -> None:
    path = record(tmp_path, **content)
    check_checksums(
        [RequiredChecksums("models.m.source.sha256", path, REVISION, {"pytorch_model.bin": GOOD})]
    )
    with pytest.raises(UserError) as caught:
        check_checksums(
            [
                RequiredChecksums(
                    "models.m.source.sha256", path, REVISION, {"pytorch_model.bin": BAD}
                )
            ]
        )
    assert str(caught.value).startswith(f"models.m.source.sha256.pytorch_model.bin: {BAD}; ")
    assert GOOD in str(caught.value)


@pytest.mark.parametrize("content", [{"origin": []}, {"files": ["w"]}, {"files": {"w": {}}}])
def test_a_record_of_another_shape_gives_one_line(
    content: dict[str, object], tmp_path: Path
) -> None:
    path = record(tmp_path, **content)
    with pytest.raises(UserError, match=r"source\.json: not the record of a download; allowed: "):
        check_checksums([RequiredChecksums("models.m.source.sha256", path, REVISION, {"w": GOOD})])


def test_what_is_not_there_or_of_another_revision_is_left_to_the_fetch(tmp_path: Path) -> None:
    path = record(tmp_path, sha256_on_hub={"w": GOOD})
    check_checksums(
        [
            RequiredChecksums("models.m.source.sha256", path, "b" * 40, {"w": BAD}),
            RequiredChecksums(
                "models.n.source.sha256", str(tmp_path / "none.json"), REVISION, {"w": BAD}
            ),
            RequiredChecksums("models.o.source.sha256", path, REVISION, {}),
        ]
    )
