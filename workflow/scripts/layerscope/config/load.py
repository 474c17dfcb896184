"""Read and validate a configuration; every mistake becomes one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from layerscope.config.mistakes import line
from layerscope.config.schema import Study
from layerscope.core.errors import UserError, show

#: Keys that make Snakemake read a configuration as a template (YTE), and run the code in it.
TEMPLATED = frozenset({"__use_yte__", "__definitions__", "__variables__"})
_MERGE = "tag:yaml.org,2002:merge"


class _StrictLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that occurs twice in one mapping, which YAML would silently drop.

    What has the form of a date or number and is none is refused in one line, too.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError):  # what PyYAML's own constructors raise
            kind = node.tag.rpartition(":")[2]
            raise UserError(
                f"{node.start_mark.name} line {node.start_mark.line + 1}: {show(node.value)} is "
                f"not a valid {kind}; allowed: one, or text in quotes"
            ) from None


def _strict_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
            if key_node.value in seen:
                raise UserError(
                    f"{key_node.start_mark.name} line {key_node.start_mark.line + 1}: "
                    f"key '{key_node.value}' occurs twice; allowed: each key once"
                )
            seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _strict_mapping)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read one configuration file.

    Raises:
        UserError: it cannot be read, is not YAML, holds a key twice, or is not a mapping.
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
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; allowed: a file that can be read") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"{path}: not valid YAML ({problem})") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply; allowed: settings as documented") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds {type(content).__name__}; allowed: a mapping of settings")
    for key in TEMPLATED.intersection(content):
        raise UserError(
            f"{path}: key '{key}', with which Snakemake would run code; allowed: a file without it"
        )
    return content


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
        lines = [line(item, Study) for item in error.errors(include_url=False)]
    # Of what may be one of several types, each type has its say: the last one, of lists, says most.
    found = {text.partition(": ")[0]: text for text in lines}
    raise UserError("\n".join(found.values()))
