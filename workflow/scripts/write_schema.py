"""Write the JSON schema of the configuration, which editors read; or check that it is up to date.

Checks that span sections (a probe that fits its task, a circle in pre-training) are beyond a JSON
schema: the workflow itself makes them before anything runs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from layerscope.config.schema import Study
from layerscope.core.errors import UserError
from layerscope.core.files import whole_file
from layerscope.runtime.program import run

PATH = Path(__file__).resolve().parents[2] / "config" / "config.schema.json"


def _close(node: Any) -> None:
    """Refuse keys that fit no pattern: names of entries have one, and pydantic leaves it open."""
    if isinstance(node, dict):
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def schema_text() -> str:
    """The JSON schema of a study as text."""
    schema = Study.model_json_schema()
    _close(schema)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of a layerscope study",
    }
    return json.dumps({**schema, **head}, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PATH, help="the schema")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    arguments = parser.parse_args()
    text = schema_text()
    if not arguments.check:
        with whole_file(arguments.output) as partial:
            partial.write_text(text, encoding="utf-8")
        return
    try:
        found = arguments.output.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{arguments.output}: no such file; write_schema.py makes it") from None
    if found != text:
        raise UserError(
            f"{arguments.output}: differs from the configuration's models; "
            "write_schema.py without --check renews it"
        )


if __name__ == "__main__":
    run(main)
