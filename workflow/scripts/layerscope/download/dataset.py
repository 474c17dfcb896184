"""Which files of a data set repository hold which split, as the library `datasets` finds them.

The library is shown a folder with the repository's description and, in place of its files, empty
ones of their names, once the description is known to name nothing elsewhere. So it resolves
configurations and splits, and neither connects to anything nor reads data; programs of the
repository are not even shown to it.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from huggingface_hub import DatasetCard

from layerscope.core.errors import UserError
from layerscope.core.wording import few
from layerscope.download.hub import is_below

#: Files that describe a data set, as far as a repository has them.
DESCRIPTIONS = ("README.md", ".huggingface.yaml", "dataset_infos.json")
#: What the library raises of a repository that it cannot make a data set of.
_REFUSALS = (
    *(ValueError, OSError, RuntimeError, TypeError, AttributeError, KeyError, AssertionError),
    *(ImportError, zipfile.BadZipFile, yaml.YAMLError),
)
_CONVERTED = "the full commit of the branch refs/convert/parquet, if the hub has converted it"


class Layout(NamedTuple):
    """A configuration of a data set."""

    files: dict[str, list[str]]  # by split
    classes: dict[str, list[str]]  # names of numbered classes, by column, where they are described


def layout(
    where: str,
    names: Iterable[str],
    described: Path,
    wanted: str | None,
    splits: Mapping[str, str | None],
) -> Layout:
    """The files of a configuration, and the names of its classes.

    Args:
        where: the repository, for messages.
        names: paths of all its files.
        described: a folder with `DESCRIPTIONS`, as far as there are any.
        wanted: the configuration, or, where none is described, a folder of the repository; None
            for the only one.
        splits: our names to the data set's; None for what it does not have.

    Raises:
        UserError: there is no such configuration or split, no configuration was chosen of several,
            or a split has other files than Parquet files of the repository, or those of another.
    """
    known = {name for name in names if is_below(name)}
    programs = sorted(name for name in known if name.endswith(".py") and "/" not in name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve() / "repository"
        folder.mkdir()
        for name in known - set(programs):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            described_as = described / name
            path.write_bytes(described_as.read_bytes() if name in DESCRIPTIONS else b"")
        try:
            _require_own(folder, where)
            found = _resolved(folder, folder.with_name("cache"), wanted, where)
            places = {folder / name: name for name in known}
            files = {
                ours: _files(found.files, split, f"{where}: split '{split}' ({ours})", places)
                for ours, split in splits.items()
                if split is not None
            }
        except UserError as error:
            hint = f" ({few(programs)} is not run, as no program of a repository is)"
            raise UserError(f"{error}{hint if programs else ''}") from None
    owner: dict[str, str] = {}
    for ours, own in files.items():
        for name in own:
            if owner.setdefault(name, ours) != ours:
                raise UserError(
                    f"{where}: '{name}' is of {owner[name]} and of {ours}; allowed: each file in "
                    "one split"
                )
    return Layout(files, found.classes)


def _require_own(folder: Path, where: str) -> None:
    """Stop where a description leads out of the repository.

    Raises:
        UserError: it does, or cannot be read.
    """
    for name in DESCRIPTIONS[:2]:
        if not (folder / name).is_file():
            continue
        try:  # as the library itself reads them
            if name == "README.md":
                described: Any = DatasetCard.load(folder / name).data.to_dict()
            else:
                described = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        except (*_REFUSALS, RecursionError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{where}: {name}: {reason}; allowed: YAML") from None
        for path in _paths(described):
            if not is_below(path.removesuffix("/")) or "::" in path:
                raise UserError(f"{where}: {name} has data in '{path}'; allowed: its own files")


def _paths(described: Any, of_data: bool = False) -> Iterator[str]:
    """All texts below `data_files` and `data_dir`."""
    if isinstance(described, Mapping):
        for key, value in described.items():
            if key != "split":
                yield from _paths(value, of_data or key in ("data_files", "data_dir"))
    elif isinstance(described, list):
        for value in described:
            yield from _paths(value, of_data)
    elif of_data and isinstance(described, str):
        yield described


def _resolved(folder: Path, cache: Path, wanted: str | None, where: str) -> Layout:
    """What `datasets` makes of a folder: absolute paths by split, and classes.

    Raises:
        UserError: the library refuses, or the configuration is not there.
    """
    os.environ["HF_DATASETS_OFFLINE"] = "1"  # read when it is imported
    import datasets

    try:
        configurations = datasets.get_dataset_config_names(str(folder))
        given: dict[str, Any]
        if wanted is not None and wanted not in configurations and (folder / wanted).is_dir():
            given = {"data_dir": wanted}
        elif wanted is None and len(configurations) > 1:
            raise UserError(
                f"{where}: has several configurations; allowed as `configuration`: "
                f"{few(configurations, 10)}"
            )
        elif wanted is not None and wanted not in configurations:
            raise UserError(
                f"{where}: no configuration '{wanted}'; allowed: {few(configurations, 10)}"
            )
        else:
            given = {"name": wanted}
        builder = datasets.load_dataset_builder(str(folder), cache_dir=str(cache), **given)
        files = {str(split): list(paths) for split, paths in builder.config.data_files.items()}
        features = builder.info.features or {}
    except _REFUSALS as error:
        reason = str(error).replace(f"{folder}", "it").splitlines() or [type(error).__name__]
        raise UserError(
            f"{where}: `datasets` cannot read its layout ({reason[0]}); allowed: a data set of "
            "Parquet files, or `kind: hub` with the names of its files"
        ) from None
    return Layout(files, {name: names for name in features if (names := _names(features[name]))})


def _files(
    found: Mapping[str, list[str]], split: str, where: str, places: Mapping[Path, str]
) -> list[str]:
    """Names in the repository of a split's files, by their places here.

    Raises:
        UserError: there are none, or others than Parquet files of the repository.
    """
    if split not in found:
        raise UserError(
            f"{where}: no such split; allowed: {few(list(found), 10)}, or null for one that is "
            "held out"
        )
    for path in found[split]:
        if Path(path) not in places:
            raise UserError(f"{where}: described as '{path}'; allowed: files of the repository")
    names = list(dict.fromkeys(places[Path(path)] for path in found[split]))
    others = [name for name in names if not name.endswith(".parquet")]
    if others or not names:
        raise UserError(
            f"{where}: is in {few(others)}; allowed: Parquet files, or {_CONVERTED}; `kind: hub` "
            "reads CSV, JSON lines and CoNLL"
        )
    return names


def _names(feature: Any) -> list[str]:
    """Names of the classes of a `ClassLabel`, or of a list of such; none of other features."""
    while not hasattr(feature, "names") and getattr(feature, "feature", None) is not None:
        feature = feature.feature
    return list(getattr(feature, "names", None) or [])
