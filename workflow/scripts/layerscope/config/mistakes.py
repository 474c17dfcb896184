"""One line for each mistake in a configuration: the key, its value, and what is allowed.

pydantic says where it stumbled; what is allowed there is read from the models themselves, so a
message can never fall behind the schema.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from layerscope.config.base import IN_WORDS, PATTERNS, Invalid
from layerscope.core.errors import show

_NAME = IN_WORDS[PATTERNS["name"]]
_UNIONS = (typing.Union, types.UnionType)


def _open(annotation: Any) -> tuple[Any, dict[str, Any], bool]:
    """A type without `Annotated` and `None`, its constraints, and whether null is allowed."""
    constraints: dict[str, Any] = {}
    nullable = False
    while True:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            annotation = args[0]
            constraints |= _constraints(args[1:])
        elif origin in _UNIONS and type(None) in args:
            nullable = True
            rest = [arg for arg in args if arg is not type(None)]
            annotation = rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]  # noqa: UP007
        else:
            return annotation, constraints, nullable


def _constraints(metadata: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, FieldInfo):
            found |= _constraints(item.metadata)
        for key in ("ge", "gt", "le", "lt", "multiple_of", "min_length", "pattern"):
            if (value := getattr(item, key, None)) is not None:
                found[key] = value
    return found


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _form(member: Any) -> str | None:
    """What tells members of a union of other things than mappings apart, where that is stated."""
    return next((item.tag for item in typing.get_args(member) if isinstance(item, Tag)), None)


def _tag(member: type[BaseModel]) -> tuple[str, str]:
    """The field that tells members of a union apart, and this member's value of it."""
    for name, field in member.model_fields.items():
        values = typing.get_args(field.annotation)
        if typing.get_origin(field.annotation) is typing.Literal and len(values) == 1:
            return name, values[0]
    raise TypeError(f"{member.__name__} has no tag")


def allowed(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a field takes, in words.

    Args:
        annotation: the type, with or without `Annotated`.
        metadata: further constraints, as `FieldInfo.metadata` holds them.
    """
    core, constraints, nullable = _open(annotation)
    constraints |= _constraints(metadata)
    origin, args = typing.get_origin(core), typing.get_args(core)
    if origin is typing.Literal:
        text = " or ".join(f"'{value}'" for value in args)
    elif origin in _UNIONS and not _is_section(args[0]):
        text = " or ".join(allowed(arg) for arg in args)
    elif origin in _UNIONS:
        tag = _tag(args[0])[0]
        text = f"a mapping with '{tag}' " + " or ".join(f"'{_tag(arg)[1]}'" for arg in args)
    elif _is_section(core):
        text = f"a mapping with {', '.join(core.model_fields)}"
    elif origin is list:
        text = f"a list of one or more, each {allowed(args[0])}"
    elif origin is dict:
        text = "a mapping of names to entries"
    elif core is str:
        text = IN_WORDS.get(constraints.get("pattern", ""), "text")
    elif core is bool:
        text = "true or false"
    else:
        text = _number(core, constraints)
    return f"{text}, or null" if nullable else text


def _number(core: type, constraints: dict[str, Any]) -> str:
    whole = core is int
    noun = "a whole number" if whole else "a number"
    if whole and "lt" in constraints:
        constraints = {**constraints, "le": constraints["lt"] - 1}
        del constraints["lt"]
    low, high = constraints.get("ge"), constraints.get("le")
    if low is not None and high is not None:
        text = f"{noun} from {low} to {high}"
    else:
        bounds = {"gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "{} or less"}
        limits = [bounds[k].format(constraints[k]) for k in bounds if k in constraints]
        text = f"{noun}, {' and '.join(limits)}" if limits else noun
    if "multiple_of" in constraints:
        text += f", a multiple of {constraints['multiple_of']}"
    return text


class _Place(NamedTuple):
    """Where an error is, and what the models say of that place."""

    keys: list[str | int]
    annotation: Any
    metadata: Sequence[Any]
    parent: type[BaseModel] | None


def _place(where: Sequence[str | int], root: type[BaseModel]) -> _Place:
    """Follow a location through the models, without the parts that are no keys."""
    keys: list[str | int] = []
    annotation: Any = root
    metadata: Sequence[Any] = ()
    parent: type[BaseModel] | None = None
    name: Any = None  # type of an entry's name
    for part in where:
        if part == "[key]":  # how pydantic marks the name of an entry
            annotation = name
            continue
        core, _, _ = _open(annotation)
        origin, args = typing.get_origin(core), typing.get_args(core)
        if origin in _UNIONS:  # it names the chosen member here
            if not (_form(args[0]) or _is_section(args[0])):  # of plain values it tries each
                continue
            member = next((arg for arg in args if (_form(arg) or _tag(arg)[1]) == part), None)
            # What is meant by a text is not known: any form is allowed.
            if typing.get_origin(_open(member)[0]) is not typing.Literal:
                annotation = member
            continue
        keys.append(part)
        metadata, parent = (), None
        if isinstance(core, type) and issubclass(core, BaseModel):
            parent = core
            field = core.model_fields.get(str(part))
            annotation = field.annotation if field else None
            metadata = field.metadata if field else ()
        else:
            annotation = args[-1] if origin in (list, dict) else None
            name = args[0] if origin is dict else None
    return _Place(keys, annotation, metadata, parent)


def _show(value: Any) -> str:
    """A value as a user of YAML knows it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, date):
        return f"{value}, which YAML takes for a date (in quotes it is text)"
    return str(value).lower() if isinstance(value, bool) else show(value)


def _dotted(keys: Sequence[str | int]) -> str:
    text = ""
    for part in keys:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "configuration"


def _say(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    place = _place(error["loc"], root)
    key = _dotted(place.keys)
    cause = context.get("error")
    if isinstance(cause, Invalid):
        return f"{_dotted([*place.keys, *cause.where])}: {cause}"
    if cause is not None:
        return f"{key}: {cause}"
    if kind == "extra_forbidden":
        names = list(place.parent.model_fields) if place.parent else []
        close = get_close_matches(str(place.keys[-1]), names, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"{key}: unknown key with value {_show(value)}; allowed: {', '.join(names)}{hint}"
    if kind == "invalid_key" or error["loc"][-1:] == ("[key]",):
        quote = "" if isinstance(value, str) else "text (in quotes): "
        expected = allowed(place.annotation) if kind != "invalid_key" else _NAME
        if expected == "text":
            return f"{key}: {_show(value)} is not text; allowed: text, in quotes"
        return f"{key}: invalid name {_show(value)}; allowed: {quote}{expected}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        members = typing.get_args(_open(place.annotation)[0])
        tag = _tag(members[0])[0]
        found = _show(value[tag]) if tag in value else "is missing"
        choice = " or ".join(f"'{_tag(member)[1]}'" for member in members)
        return f"{_dotted([*place.keys, tag])}: {found}; allowed: {choice}"
    expected = allowed(place.annotation, place.metadata)
    if kind == "missing":
        return f"{key}: is missing; allowed: {expected}"
    if kind == "too_short":
        return f"{key}: {_show(value)} is empty; allowed: {expected}"
    if kind == "float_type" and isinstance(value, str):
        expected += " (YAML takes 5e-5 for text: write 5.0e-5)"
    if kind == "finite_number":
        expected += ", finite"
    return f"{key}: {_show(value)}; allowed: {expected}"


def line(error: Mapping[str, Any], root: type[BaseModel]) -> str:
    """One line for one of `ValidationError.errors()`.

    Args:
        error: type, location, input and context, as pydantic gives them.
        root: the model that was validated.
    """
    return " ".join(_say(error, root).splitlines())
