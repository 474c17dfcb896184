"""Fetch files of a data set repository into resources/, and record where they came from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.download.address import require_variables
from layerscope.runtime.program import run


def main() -> None:
    """Look the repository up, download its files, write their digests and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings",
        required=True,
        help="JSON: repository, revision, and files or configuration and splits",
    )
    parser.add_argument("--sha256", default="{}", help="JSON: required digests by file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args()

    from layerscope.core.files import whole_directory

    require_variables()
    from layerscope.download.dataset import DESCRIPTIONS, layout
    from layerscope.download.hub import download, download_folder, look_up
    from layerscope.download.sources import digests_as_yaml, keep_files

    source, wanted = json.loads(arguments.settings), json.loads(arguments.sha256)
    repository = look_up("dataset", source["repository"], source["revision"])
    with download_folder(arguments.out, repository) as folder:
        further = {}
        if "splits" in source:
            download(repository, [n for n in DESCRIPTIONS if n in repository.files], {}, folder)
            found = layout(
                *(str(repository), repository.files, folder),
                *(source["configuration"], source["splits"]),
            )
            further = {"splits": found.files, "classes": found.classes}
            source["files"] = sorted(name for own in found.files.values() for name in own)
        digests = download(repository, source["files"], wanted, folder)
        with whole_directory(arguments.out) as out:
            keep_files(folder, digests, repository.origin(), out, **further)
    print(digests_as_yaml(digests))


if __name__ == "__main__":
    run(main, network=True)
