"""Where models and data come from, which files are kept, and `source.json`, the record."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object, sha256_file, write_json
from layerscope.core.gguf import gguf_file
from layerscope.core.packages import package_folders
from layerscope.download.casing import SETTINGS, require_vocabulary_alone, state_casing
from layerscope.download.shards import INDEX, require_whole, shard_names

CONFIGURATION, WEIGHTS = "config.json", "model.safetensors"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "bpe.codes",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "spiece.model",
    "spm.model",
    "tiktoken.model",
    "tokenizer.model",
)
PICKLE = "pytorch_model.bin"
CODE = ("auto_map", "custom_pipelines")  # keys that name code of a repository


def source_folder(source: Mapping[str, Any]) -> tuple[Path, dict[str, str]]:
    """The folder that a source names, and its origin.

    Raises:
        UserError: the package is not installed.
    """
    if source["kind"] == "folder":
        return Path(source["path"]), {"folder": source["path"]}
    package = source["package"]
    places = package_folders(package)
    distributions = importlib.metadata.packages_distributions().get(package, [package])
    try:
        metadata = importlib.metadata.metadata(distributions[0])
    except importlib.metadata.PackageNotFoundError:
        places = []
    if not places:
        raise UserError(f"package '{package}' is not installed; allowed: an installed package")
    stated = [metadata[key] for key in ("License-Expression", "License") if key in metadata]
    origin = {
        "package": distributions[0],
        "version": metadata["Version"],
        "license": next(filter(None, stated), "not stated"),
    }
    return places[0] / source["folder"], origin


def copy_model(source: Mapping[str, Any], wanted: Mapping[str, str], out: Path) -> dict[str, str]:
    """Copy configuration, safetensors and tokenizer files, and write `source.json` beside them.

    They are made from a GGUF file where the folder has one and no safetensors.

    Args:
        source: a folder or a package.
        wanted: name to the SHA-256 that a file must have; of some files or none.
        out: an empty folder.

    Returns:
        SHA-256 of each file as it is at the source.

    Raises:
        UserError: a file that is needed is missing or is not what was wanted, the configuration is
            no JSON object, or `lower_case` has no effect.
    """
    folder, origin = source_folder(source)
    lower_case = source.get("lower_case")
    if gguf := gguf_file(folder):
        require_vocabulary_alone(str(folder), [gguf.name], lower_case)
        digests = _checked(folder, folder, [gguf.name], wanted)
        from layerscope.models.gguf import convert_gguf  # imports torch

        convert_gguf(gguf, out)
        _record(out, origin, sha256_at_source=digests)
        return digests
    if not (folder / CONFIGURATION).is_file():
        raise UserError(
            f"{folder}: no {CONFIGURATION}; allowed: a folder with {CONFIGURATION} and weights"
        )
    read_json_object(folder / CONFIGURATION)
    names = [CONFIGURATION, *_weights(folder)]
    tokenizer = [name for name in TOKENIZER if (folder / name).is_file()]
    if not tokenizer:
        raise UserError(f"{folder}: no tokenizer file; allowed: one of {', '.join(TOKENIZER)}")
    require_vocabulary_alone(str(folder), tokenizer, lower_case)
    names += tokenizer
    for name in names:
        shutil.copyfile(folder / name, out / name)
    digests = _checked(folder, out, names, wanted)
    if lower_case is None:
        write_json(out / "source.json", {"origin": origin, "sha256": digests})
    else:
        state_casing(str(folder), out, lower_case)
        _record(out, origin, sha256_at_source=digests)
    return digests


def _weights(folder: Path) -> list[str]:
    """Files of a folder's weights: one, or an index and its shards.

    Raises:
        UserError: there are none, a shard is missing, or a file is cut off.
    """
    if (folder / WEIGHTS).is_file():
        require_whole(folder / WEIGHTS)
        return [WEIGHTS]
    if not (folder / INDEX).is_file():
        raise UserError(
            f"{folder}: no {WEIGHTS}; allowed: a folder with {WEIGHTS}, or with {INDEX} and the "
            "files that it names"
        )
    shards = shard_names(folder / INDEX)
    for name in shards:
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name}; allowed: all files that {INDEX} names")
        require_whole(folder / name)
    return [INDEX, *shards]


def _checked(
    folder: Path, copies: Path, names: Sequence[str], wanted: Mapping[str, str]
) -> dict[str, str]:
    """SHA-256 of each copy of a source's files.

    Raises:
        UserError: one is not what was wanted, or a file is wanted that is none of these.
    """
    for name in wanted:
        if name not in names:
            raise UserError(
                f"{folder}: 'sha256' names '{name}', which is not needed; "
                f"allowed: {', '.join(names)}"
            )
    digests = {name: sha256_file(copies / name) for name in names}
    for name, digest in digests.items():
        if digest != wanted.get(name, digest):
            raise UserError(
                f"{folder / name}: found sha256 {digest}, wanted {wanted[name]}; allowed: the file "
                "with the configured digest, or its own digest in the configuration"
            )
    return digests


def model_files(where: str, names: Iterable[str]) -> list[str]:
    """The files to fetch from a repository: configuration, weights, tokenizer.

    Of weights in shards it is their index, which names them.

    Args:
        where: the repository, for messages.
        names: all its files.

    Raises:
        UserError: one of the three is missing.
    """
    names = set(names)
    if CONFIGURATION not in names:
        raise UserError(f"{where}: no {CONFIGURATION}; allowed: a repository of one model")
    found = next((name for name in (WEIGHTS, INDEX, PICKLE) if name in names), None)
    if found is None:
        pickles = f"{PICKLE}.index.json" in names
        raise UserError(
            f"{where}: {'pickled weights in several files' if pickles else 'no weights'}; "
            f"allowed: {WEIGHTS}, {INDEX} with the files that it names, or one file {PICKLE}"
        )
    tokenizer = [name for name in TOKENIZER if name in names]
    if not tokenizer:
        raise UserError(f"{where}: no tokenizer file; allowed: one of {', '.join(TOKENIZER)}")
    return [CONFIGURATION, found, *tokenizer]


def keep_model(
    folder: Path,
    digests: Mapping[str, str],
    origin: Mapping[str, str],
    out: Path,
    lower_case: bool | None = None,
) -> None:
    """Move a downloaded model to `out`, convert pickled weights, and write `source.json`.

    Args:
        folder: the download.
        digests: SHA-256 of each file in it.
        origin: recorded in `source.json`.
        out: an empty folder.
        lower_case: whether texts are lower-cased, if the configuration says so.

    Raises:
        UserError: the weights or a JSON file cannot be read, or `lower_case` has no effect.
    """
    for name in digests:
        if name in (CONFIGURATION, SETTINGS):
            _copy_without_code(folder / name, out / name)
    if lower_case is not None:
        state_casing(origin["repository"], out, lower_case)
    if PICKLE in digests:
        from layerscope.models.convert import convert_pickle  # imports torch

        convert_pickle(folder / PICKLE, out / WEIGHTS)
    # Moved last, so that an interruption before this loses no download.
    for name in digests:
        if name != PICKLE and not (out / name).exists():
            os.replace(folder / name, out / name)
    _record(out, origin, sha256_on_hub=dict(digests))


def _record(out: Path, origin: Mapping[str, str], **further: Mapping[str, str]) -> None:
    """Write `source.json` of a model whose files were converted."""
    kept = {path.name: sha256_file(path) for path in sorted(out.iterdir())}
    write_json(out / "source.json", {"origin": origin, "sha256": kept, **further})


def _copy_without_code(path: Path, out: Path) -> None:
    content = read_json_object(path)
    if any(key in content for key in CODE):
        write_json(out, {key: value for key, value in content.items() if key not in CODE})
    else:
        shutil.copyfile(path, out)


def keep_files(
    folder: Path,
    digests: Mapping[str, str],
    origin: Mapping[str, str],
    out: Path,
    **further: Mapping[str, Any],
) -> None:
    """Move downloaded data files to `out` and write `source.json`.

    Args:
        folder: the download.
        digests: SHA-256 of each file in it.
        origin: recorded in `source.json`.
        out: an empty folder.
        further: recorded in `source.json` as well.
    """
    facts: dict[str, dict[str, Any]] = {}
    for name, digest in digests.items():
        facts[name] = {"sha256": digest, "bytes": (folder / name).stat().st_size}
        if not name.endswith((".parquet", ".arrow", ".gz", ".zst")):
            with open(folder / name, "rb") as handle:
                facts[name]["lines"] = sum(1 for _ in handle)
    for name in digests:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(folder / name, out / name)
    write_json(out / "source.json", {"origin": origin, "files": facts, **further})


def digests_as_yaml(digests: Mapping[str, str]) -> str:
    """Digests as YAML, to be pasted below a `source` in the configuration."""
    return "\n".join(["sha256:", *(f"  {name}: {digest}" for name, digest in digests.items())])
