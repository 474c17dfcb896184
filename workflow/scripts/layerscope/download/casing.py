"""`lower_case` of a model's source: whether a vocabulary alone is one of lower-cased texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object, write_json

VOCABULARY, SETTINGS, KEY = "vocab.txt", "tokenizer_config.json", "do_lower_case"


def require_vocabulary_alone(where: str, names: Iterable[str], lower_case: bool | None) -> None:
    """Stop where the configuration has `lower_case` for a model with more than a vocabulary.

    Args:
        where: the folder or repository, for messages.
        names: its files.
        lower_case: None if the configuration does not say.

    Raises:
        UserError: it has.
    """
    if lower_case is None:
        return
    names = set(names)
    if "tokenizer.json" in names:
        raise _without_effect(where, lower_case, "beside tokenizer.json, which says it")
    if VOCABULARY not in names:
        raise _without_effect(where, lower_case, f"without {VOCABULARY}")


def state_casing(where: str, out: Path, lower_case: bool) -> None:
    """Write `lower_case` to the tokenizer_config.json of a fetched model, for transformers to read.

    Args:
        where: the folder or repository that the model comes from, for messages.
        out: the fetched model's folder.
        lower_case: as the configuration says.

    Raises:
        UserError: the file says so already, or is no JSON object.
    """
    path = out / SETTINGS
    stated = read_json_object(path) if path.is_file() else {}
    if KEY in stated:
        said = f"{KEY}: {str(stated[KEY]).lower()}"
        raise _without_effect(where, lower_case, f"beside {SETTINGS}, which says {said}")
    write_json(path, {**stated, KEY: lower_case})


def _without_effect(where: str, lower_case: bool, why: str) -> UserError:
    entry = f"'lower_case: {str(lower_case).lower()}'"
    return UserError(f"{where}: {entry} has no effect {why}; allowed: leave it out")
