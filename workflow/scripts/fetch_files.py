"""Fetch files of a data set repository into resources/, and record where they came from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.download.address import require_variables
from layerscope.runtime.program import run


def main() -> None:
    """Look the repository up, download its files, write their digests, sizes and lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON: repository, revision, files")
    parser.add_argument("--sha256", default="{}", help="JSON: required digests by file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args()

    from layerscope.core.files import whole_directory

    require_variables()
    from layerscope.download.hub import download, download_folder, look_up
    from layerscope.download.sources import digests_as_yaml, keep_files

    source = json.loads(arguments.settings)
    repository = look_up("dataset", source["repository"], source["revision"])
    with download_folder(arguments.out, repository) as folder:
        digests = download(repository, source["files"], json.loads(arguments.sha256), folder)
        with whole_directory(arguments.out) as out:
            keep_files(folder, digests, repository.origin(), out)
    print(digests_as_yaml(digests))


if __name__ == "__main__":
    run(main, network=True)
