"""Fetch a model into resources/, keep what is needed, and record where it came from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from layerscope.download.address import require_variables
from layerscope.runtime.program import run


def main() -> None:
    """Find the source, copy or download its files, write their digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of the model's source")
    parser.add_argument("--sha256", default="{}", help="JSON: required digests by file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    arguments = parser.parse_args()

    from layerscope.core.files import whole_directory
    from layerscope.download.casing import require_vocabulary_alone
    from layerscope.download.sources import copy_model, digests_as_yaml, keep_model, model_files

    source, wanted = json.loads(arguments.settings), json.loads(arguments.sha256)
    lower_case = source.get("lower_case")
    if source["kind"] != "hub":
        with whole_directory(arguments.out) as out:
            digests = copy_model(source, wanted, out)
        if source["kind"] == "package":
            print(digests_as_yaml(digests))
        return

    require_variables()
    from layerscope.download.hub import download, download_folder, look_up
    from layerscope.download.shards import INDEX, shard_names

    repository = look_up("model", source["repository"], source["revision"])
    names = model_files(str(repository), repository.files)
    require_vocabulary_alone(str(repository), names, lower_case)
    with download_folder(arguments.out, repository) as folder:
        if INDEX in names:
            asked = {name: digest for name, digest in wanted.items() if name == INDEX}
            download(repository, [INDEX], asked, folder)
            names += shard_names(folder / INDEX)
        digests = download(repository, names, wanted, folder)
        with whole_directory(arguments.out) as out:
            keep_model(folder, digests, repository.origin(), out, lower_case)
    print(digests_as_yaml(digests))


if __name__ == "__main__":
    run(main, network=True)
