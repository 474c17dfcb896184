"""Read and validate a configuration; every mistake becomes one line."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from layerscope.config.schema import Invalid, Study
from layerscope.errors import UserError


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, which YAML would silently drop."""


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise UserError(
                f"{key_node.start_mark.name} line {key_node.start_mark.line + 1}: "
                f"key '{key}' stands twice; allowed: each key once"
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one configuration file.

    Raises:
        UserError: it is missing, is not YAML, holds a key twice, or is not a mapping.
    """
    try:
        with open(path, encoding="utf-8") as handle:
            loader = _StrictLoader(handle)
            loader.name = str(path)
            try:
                content = loader.get_single_data()
            finally:
                loader.dispose()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML ({problem})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}; allowed: a mapping of settings")
    return content


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(where: Sequence[str | int], model: type[BaseModel], config: Any) -> list[str]:
    """Keys allowed where an unknown key was found: follows `where` through the models."""
    current: Any = model
    for part in where:
        candidates = _models_below(current, part, config)
        config = config[part] if isinstance(config, Mapping | list) else None
        if not candidates:
            return []
        current = candidates[0]
        if len(candidates) > 1 and isinstance(config, Mapping):
            for candidate in candidates:  # the member of the union that `kind` chooses
                for tag in ("kind", "generator"):
                    field = candidate.model_fields.get(tag)
                    if field and config.get(tag) in typing.get_args(field.annotation):
                        current = candidate
    return list(current.model_fields)


def _models_below(model: type[BaseModel], part: str | int, config: Any) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
        for inner in typing.get_args(annotation):
            walk(inner)

    fields = getattr(model, "model_fields", {})
    if isinstance(part, str) and part in fields:
        walk(fields[part].annotation)
    elif isinstance(model, type) and issubclass(model, BaseModel):
        found.append(model)  # a key of a dict or an index of a list: stay
    return found


def _location(where: Sequence[str | int], config: Any) -> tuple[str | int, ...]:
    """The location without the tags that pydantic adds for members of a union and for keys."""
    clean: list[str | int] = []
    for part in where:
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif isinstance(config, list) and isinstance(part, int) and part < len(config):
            config = config[part]
        elif isinstance(config, Mapping) and part == where[-1]:
            pass  # a key that is missing
        else:
            continue
        clean.append(part)
    return tuple(clean)


_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number (YAML reads 5e-5 as text: write 5.0e-5)",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("gt", "a number above {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "a number below {}"),
    "less_than_equal": ("le", "{} or less"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
}


def _line(error: Mapping[str, Any], config: Any) -> str:
    kind, raw, value = error["type"], error["loc"], error["input"]
    context = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Invalid):
        where = (*_location(raw, config), *cause.where)
        return f"{_dotted(where)}: {cause}"
    where = _location(raw, config)
    if kind == "missing":
        where = (*where, raw[-1]) if not where or where[-1] != raw[-1] else where
        return f"{_dotted(where)}: is missing; allowed: a value for it"
    if kind == "extra_forbidden":
        allowed = _known_keys(where[:-1], Study, config)
        close = get_close_matches(str(where[-1]), allowed, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"{_dotted(where)}: unknown key; allowed: {', '.join(allowed)}{hint}"
    if raw and raw[-1] == "[key]":
        return f"{_dotted(where[:-1])}: the name {_show(value)} is refused; allowed: {_NAME}"
    if kind == "literal_error":
        return f"{_dotted(where)}: {_show(value)}; allowed: {context['expected']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = str(context["discriminator"]).strip("'")
        if kind == "union_tag_not_found":
            return f"{_dotted((*where, tag))}: is missing; allowed: one of the known kinds"
        expected = context["expected_tags"]
        return f"{_dotted((*where, tag))}: '{context['tag']}'; allowed: {expected}"
    if kind in _TYPES:
        return f"{_dotted(where)}: {_show(value)} has a wrong type; allowed: {_TYPES[kind]}"
    if kind in _BOUNDS:
        key, text = _BOUNDS[kind]
        return f"{_dotted(where)}: {_show(value)}; allowed: {text.format(context[key])}"
    if kind == "too_short":
        return f"{_dotted(where)}: is empty; allowed: {context['min_length']} entry or more"
    if kind in ("string_pattern_mismatch", "string_too_long"):
        return f"{_dotted(where)}: {_show(value)}; allowed: {_NAME}"
    if kind == "finite_number":
        return f"{_dotted(where)}: {_show(value)}; allowed: a finite number"
    message = str(cause) if cause is not None else f"{_show(value)}: {error['msg']}"
    return f"{_dotted(where)}: {message}"


_NAME = "small letters and digits, joined by single hyphens (as in 'bert-base'), 40 at most"


def _dotted(where: Sequence[str | int]) -> str:
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "configuration"


def validate(config: Mapping[str, Any]) -> Study:
    """Check a configuration strictly.

    Args:
        config: what the YAML files and `--config` gave, merged.

    Returns:
        The study.

    Raises:
        UserError: one line for each mistake, naming the key, its value and what is allowed.
    """
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        lines = [_line(item, config) for item in error.errors(include_url=False)]
    raise UserError("\n".join(dict.fromkeys(lines)))
