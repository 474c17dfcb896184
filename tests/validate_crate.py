"""Validate RO-Crates without a network: python tests/validate_crate.py CRATE...

roc-validator keeps the JSON-LD contexts that it downloads in a cache of `requests`. Our crates need
that of RO-Crate 1.1 alone, which the package rocrate ships, so it is put there beforehand.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


class Shelf(HTTPAdapter):
    """Answers with one document, and knows no network."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.document = document

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        answer = HTTPResponse(
            body=io.BytesIO(self.document),
            status=200,
            preload_content=False,
            headers={"Content-Type": "application/ld+json"},
            request_url=request.url,
        )
        return self.build_response(request, answer)


def fill(cache: Path) -> None:
    """Put the context into a cache."""
    document = importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    assert json.loads(document)["@id"] == CONTEXT
    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Shelf(document))
        session.get(CONTEXT).raise_for_status()


def problems(crate: Path, cache: Path) -> list[str]:
    """What the validator finds at REQUIRED level against Provenance Run Crate 0.5."""
    settings = ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier="provenance-run-crate",
        requirement_severity=Severity.REQUIRED,
        offline=True,
        cache_path=cache,
    )
    result = services.validate(settings)
    found = [
        f"{issue.check.identifier} {issue.violatingEntity}: {issue.message}"
        for issue in result.get_issues(Severity.REQUIRED)
    ]
    assert result.passed(Severity.REQUIRED) == (not found)
    return found


def main() -> None:
    """Print the problems of each crate as JSON; the exit code is 1 if there are any."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        fill(cache)
        found = {crate: problems(Path(crate), cache) for crate in sys.argv[1:]}
    print(json.dumps(found, indent=2))
    sys.exit(any(found.values()))


if __name__ == "__main__":
    main()
