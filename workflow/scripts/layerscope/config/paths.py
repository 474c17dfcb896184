"""Paths of the user's own files, each of which counts from the configuration file that names it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.config.models import LocalModel
from layerscope.config.schema import Study
from layerscope.core.errors import UserError

Keys = tuple[str, ...]
Files = Sequence[tuple[str | Path, Mapping[str, Any]]]
#: Section, kind of source, and its entries that are paths; with what stands for one left out.
_SOURCES: tuple[tuple[str, str, Mapping[str, str | None]], ...] = (
    ("tasks", "files", {"folder": "."}),
    ("corpora", "files", {"train": None, "heldout": None}),
    ("models", "folder", {"path": None}),
)
_MISSING = object()


def resolve_paths(
    config: Mapping[str, Any], files: Files, root: str | Path = "."
) -> dict[str, Any]:
    """A configuration whose paths count from the working directory.

    Of several files that give a path its value, the last one counts. A path that no file gives,
    since it is from `--config`, stays as it is. The folder of a task that names none is that of the
    file that gives the source its kind. However a path is written, the same file of the
    working directory gets the same path.

    Args:
        config: the files merged, with what `--config` changed; it may hold mistakes.
        files: path and content of each configuration file, in their order.
        root: the working directory.
    """
    found = copy.deepcopy(dict(config))
    for keys, value, giver in list(_paths(found)):
        folder = _folder(giver, _at(found, giver), files)
        _at(found, keys[:-1])[keys[-1]] = _from_root(os.path.abspath(root), value, folder)
    return found


def check_paths(study: Study) -> None:
    """Check that model folders and published values of the user's are there.

    Raises:
        UserError: a line for each that is not, with its whole path.
    """
    mistakes = [
        f"models.{name}.source.path: {os.path.abspath(model.source.path)!r} has no config.json; "
        "allowed: a folder with config.json, model.safetensors and tokenizer files, or with a "
        ".gguf file"
        for name, model in study.models.items()
        if isinstance(model.source, LocalModel) and not _holds_model(Path(model.source.path))
    ]
    if study.references and not os.path.isfile(study.references):
        whole = os.path.abspath(study.references)
        mistakes.append(f"references: {whole!r} does not exist; allowed: a CSV file, or null")
    if mistakes:
        raise UserError("\n".join(mistakes))


def _holds_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() or any(folder.glob("*.gguf"))


def _paths(config: Mapping[str, Any]) -> Iterator[tuple[Keys, str, Keys]]:
    """Keys and value of each path, and the keys of the entry that says from where it counts."""
    if isinstance(config.get("references"), str):
        yield ("references",), config["references"], ("references",)
    for section, kind, entries in _SOURCES:
        named = config.get(section)
        for name in named if isinstance(named, dict) else ():
            source = _at(config, (section, name, "source"))
            if not isinstance(source, dict) or source.get("kind") != kind:
                continue
            for entry, default in entries.items():
                value = source.get(entry, default)
                if isinstance(value, str):
                    at = (section, name, "source")
                    yield (*at, entry), value, (*at, entry if entry in source else "kind")


def _at(content: Any, keys: Keys) -> Any:
    """The value at some keys; `_MISSING` if there is none."""
    for key in keys:
        content = content.get(key, _MISSING) if isinstance(content, dict) else _MISSING
    return content


def _folder(keys: Keys, value: Any, files: Files) -> str:
    """The folder of the last file that gives an entry this value; the working directory if none."""
    for file, content in reversed(files):
        if _at(content, keys) == value:
            return os.path.dirname(file)
    return ""


def _from_root(root: str, path: str, folder: str) -> str:
    """A path below the working directory is relative to it; a relative one outside as well."""
    written = os.path.expanduser(path)
    whole = os.path.normpath(os.path.join(root, folder, written))
    relative = os.path.relpath(whole, root)
    outside = relative.split(os.sep)[0] == os.pardir
    return whole if outside and os.path.isabs(written) else relative
