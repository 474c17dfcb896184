"""Read the settings of a program from its command line."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import ValidationError

from layerscope.config.base import Section
from layerscope.config.tasks import TaskSettings
from layerscope.core.errors import UserError

Settings = TypeVar("Settings", bound=Section)


def with_statements(settings: TaskSettings, text: str) -> TaskSettings:
    """Settings of a task with what its source says of its files, from JSON text.

    Raises:
        UserError: not JSON, or not what a source can say.
    """
    whole = settings.model_dump(mode="json")
    try:
        whole["source"] |= json.loads(text)
    except (ValueError, TypeError) as error:
        raise UserError(f"--statements: {error}; allowed: a JSON object") from None
    return read_settings(TaskSettings, json.dumps(whole))


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
