"""Checksums that the configuration requires of what was fetched earlier.

A checksum that is added to the configuration is no reason to fetch again: it is compared with the
record of the fetch whenever the workflow is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object

#: Where a model's record has checksums of files as they are at the source: the first that it has.
_AT_SOURCE = ("sha256_on_hub", "sha256_at_source", "sha256")


class RequiredChecksums(NamedTuple):
    """What is required of the files of one source."""

    key: str  # where the configuration says so
    record: str  # `source.json` of what was fetched
    revision: str  # of a package, its version
    checksums: Mapping[str, str]  # by file, as at the source


def check_checksums(required: Iterable[RequiredChecksums]) -> None:
    """Compare required checksums with those of files that are there already.

    What was not fetched yet, or at another revision, is left to the fetch.

    Raises:
        UserError: a file has another checksum, or a record is none.
    """
    for each in required:
        if not each.checksums or not Path(each.record).is_file():
            continue
        revision, found = _fetched(Path(each.record))
        if revision != each.revision:
            continue
        for name, wanted in sorted(each.checksums.items()):
            if name in found and found[name] != wanted:
                raise UserError(
                    f"{each.key}.{name}: {wanted}; {Path(each.record).parent} was fetched with "
                    f"{found[name]}; allowed: that, or the folder removed to fetch it again"
                )


def _fetched(path: Path) -> tuple[str | None, dict[str, str]]:
    """Revision (of a package, version) and checksums, by file, that a record of a fetch holds."""
    record = read_json_object(path)
    try:
        origin = record["origin"]
        if "files" in record:
            found = {name: facts["sha256"] for name, facts in record["files"].items()}
        else:
            found = dict(next((record[key] for key in _AT_SOURCE if key in record), {}))
        return origin.get("revision", origin.get("version")), found
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"{path}: not the record of a download; allowed: remove the folder to download it again"
        ) from None
