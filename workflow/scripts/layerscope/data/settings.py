"""Read the settings of a program from its command line."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from layerscope.config.base import Section
from layerscope.errors import UserError

Settings = TypeVar("Settings", bound=Section)


def read_settings(model: type[Settings], text: str) -> Settings:
    """Settings from JSON text.

    Raises:
        UserError: not JSON, or not these settings.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UserError(f"--settings: {where}: {first['msg']}; found {first['input']!r}") from None
