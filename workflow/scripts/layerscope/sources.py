"""Where models come from: an installed package or a folder of the user's."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerscope.errors import UserError
from layerscope.files import sha256_file, write_json

REQUIRED = ("config.json", "model.safetensors")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)


def source_folder(source: Mapping[str, Any]) -> tuple[Path, dict[str, str]]:
    """The folder that a source names, and a description of its origin.

    Raises:
        UserError: the package is not installed, or the folder is not there.
    """
    if source["kind"] == "folder":
        return Path(source["path"]), {"folder": source["path"]}
    package = source["package"]
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    distributions = importlib.metadata.packages_distributions().get(package, [package])
    try:
        metadata = importlib.metadata.metadata(distributions[0])
    except importlib.metadata.PackageNotFoundError:
        found = None
    if found is None or not found.submodule_search_locations:
        raise UserError(f"package '{package}' is not installed; allowed: an installed package")
    stated = [metadata[key] for key in ("License-Expression", "License") if key in metadata]
    origin = {
        "package": distributions[0],
        "version": metadata["Version"],
        "license": next(filter(None, stated), "not stated"),
    }
    return Path(found.submodule_search_locations[0]) / source["folder"], origin


def copy_model(source: Mapping[str, Any], out: Path) -> None:
    """Copy configuration, safetensors and tokenizer files, and write `source.json` beside them.

    Raises:
        UserError: a file that is needed is missing.
    """
    folder, origin = source_folder(source)
    for name in REQUIRED:
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name}; allowed: a folder with {', '.join(REQUIRED)}")
    digests = {}
    for name in (*REQUIRED, *TOKENIZER):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
            digests[name] = sha256_file(out / name)
    if not any(name in digests for name in TOKENIZER):
        raise UserError(f"{folder}: no tokenizer file; allowed: one of {', '.join(TOKENIZER)}")
    write_json(out / "source.json", {"origin": origin, "sha256": digests})
