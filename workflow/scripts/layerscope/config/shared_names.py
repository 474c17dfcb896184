"""Names of models and data that studies of one working directory share.

What is fetched lies in `resources/` under its name, for all studies there. A study that meant
something else by a name would replace what another one was made from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layerscope.config.models import storing_model
from layerscope.config.schema import Study
from layerscope.core.errors import UserError
from layerscope.core.files import read_json

#: Section, its folder in `resources/`, and the kinds of sources that are fetched there.
_FETCHED = (
    ("models", "models", ("package", "folder", "hub")),
    ("tasks", "datasets", ("hub", "dataset")),
)
#: Entries of the sources of tasks that say what is fetched; of models all but some do.
_OF_DATA = ("kind", "repository", "revision", "files", "configuration", "splits")
_NOT_OF_MODELS = ("sha256", "size")


def check_shared_names(study: Study, results: str | Path) -> None:
    """Check that no other study has another source under the name of a fetched model or data set.

    Args:
        study: whose names are checked.
        results: folder with the results of all studies, each with its `config.json`; what is none
            is passed over, since a later run of that study will check this one's.

    Raises:
        UserError: a line for each name that two studies use for two sources.
    """
    own = dict(_sources(study.model_dump(mode="json")))
    lines = []
    for other in sorted(Path(results).glob("*/config.json")):
        name = other.parent.name
        content = _configuration(other)
        if name == study.study or content.get("study") != name:  # or a copy under another name
            continue
        for key, theirs in _sources(content):
            ours = own.get(key, {})
            # An entry that their version of the workflow did not have is not held against them.
            differs = [entry for entry in ours if theirs.get(entry, ours[entry]) != ours[entry]]
            if differs:
                section, folder, entry = *key, differs[0]
                lines.append(
                    f"{section}.source.{entry}: {ours[entry]!r}, but study '{name}' has "
                    f"{theirs[entry]!r}, and both would be kept in {folder}; allowed: the same "
                    f"source, another name, or {other.parent} moved elsewhere"
                )
    if lines:
        raise UserError("\n".join(lines))


def _configuration(path: Path) -> Mapping[str, Any]:
    """The resolved configuration of a study; empty if the file is none."""
    try:
        content = read_json(path) if os.path.isfile(path) else None
    except UserError:
        content = None
    return content if isinstance(content, dict) else {}


def _sources(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Key in the configuration and folder of what is fetched, and what is fetched there."""
    for section, folder, kinds in _FETCHED:
        entries = config.get(section)
        found, adapters = {}, set()
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            source = entry.get("source") if isinstance(entry, dict) else None
            if not isinstance(source, dict) or source.get("kind") not in kinds:
                continue
            data = section == "tasks"
            found[name] = {
                key: value
                for key, value in source.items()
                if (key in _OF_DATA if data else key not in _NOT_OF_MODELS)
            }
            if entry.get("adapter") is not None:
                adapters.add(name)
        for name, chosen in found.items():
            if storing_model(name, found, adapters) == name:
                yield (f"{section}.{name}", f"resources/{folder}/{name}"), chosen
