"""Files, parameters and values as entities of an RO-Crate. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from layerscope.core.files import canonical_json, sha256_text
from layerscope.provenance.places import is_place, without_places
from layerscope.run_records.content import Entry, package_of

Entity = dict[str, Any]
ROOT = "./"
_PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
_FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".smk": "text/plain",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


class Graph:
    """Entities by identifier, each once.

    `copied` has the paths of files that the crate contains; all others it describes alone.
    """

    def __init__(self, copied: Iterable[str] = ()) -> None:
        self.copied = frozenset(copied)
        self._entities: dict[str, Entity] = {}
        self._links: dict[tuple[str, str], dict[str, None]] = {}

    def add(self, own: str, kind: str | Sequence[str], **properties: Any) -> str:
        """Add an entity, or what is not said yet of one that is there; give its identifier."""
        known = {key: value for key, value in properties.items() if value not in (None, "")}
        self._entities[own] = {"@id": own, "@type": kind, **known, **self._entities.get(own, {})}
        return own

    def link(self, own: str, term: str, *others: str) -> None:
        """Let a property of an entity refer to others, besides those that it refers to."""
        self._links.setdefault((own, term), {}).update(dict.fromkeys(others))

    def entities(self) -> list[Entity]:
        """All of them with their references, by identifier; what is alone stands without a list."""
        found = {own: dict(entity) for own, entity in self._entities.items()}
        for (own, term), others in self._links.items():
            if others:
                found[own][term] = [{"@id": other} for other in others]
        return [
            {term: _alone(value) for term, value in sorted(found[own].items())}
            for own in sorted(found)
        ]

    def identifier(self, entry: Mapping[str, Any]) -> str:
        """Identifier of a file: its path, where that is one from the working directory."""
        path = entry["path"]
        if is_place(path):
            path = f"elsewhere/{entry['sha256'][:16]}/{PurePosixPath(path).name}"
        return quote(path) if path in self.copied else "#" + quote(path)

    def file(self, entry: Entry) -> str:
        """A file by digest and size, or a folder and its files, or a package that was read."""
        package = package_of(entry)
        if package:
            return self._package(package, entry)
        path = without_places(entry["path"])
        common = {
            "name": path,
            "alternateName": path,
            "sha256": entry["sha256"],
            "contentSize": str(entry["bytes"]),
            "description": "Removed once it was read." if entry.get("temporary") else None,
        }
        own = self.identifier(entry)
        if "files" not in entry:
            ending = PurePosixPath(path).suffix
            kind = _FORMATS.get(ending, "application/octet-stream" if ending else "text/plain")
            self.add(own, "File", **common, encodingFormat=kind)
        else:
            own = self.add(own + "/", "Dataset", **common)
            for file in entry["files"]:
                below = {"path": f"{entry['path']}/{file['path']}", "temporary": entry["temporary"]}
                self.link(own, "hasPart", self.file(file | below))
        self.link(ROOT, "hasPart", own)
        return own

    def _package(self, package: str, entry: Entry) -> str:
        version = entry["path"].split()[2]
        own = self.add(
            f"#package/{package}/{quote(version)}/",
            "Dataset",
            name=entry["path"],
            version=version,
            url=f"https://pypi.org/project/{package}/{version}/",
            sha256=entry["sha256"],
            contentSize=str(entry["bytes"]),
        )
        self.link(ROOT, "hasPart", own)
        return own

    def parameter(self, tool: str, name: str, *kinds: str) -> str:
        """What an option of a tool is for, as a formal parameter."""
        own = f"#parameter/{tool}/{quote(name)}"
        before = self._entities.get(own, {}).get("additionalType", [])
        self.add(own, "FormalParameter", name=name)
        self._entities[own]["additionalType"] = sorted({*before, *kinds})
        profile = "Bioschemas FormalParameter profile"
        self.link(own, "conformsTo", self.add(_PARAMETER, "CreativeWork", name=profile))
        return own

    def value(self, group: str, name: str, value: Any, **more: Any) -> str:
        """A named value; what has the same one shares it. Lists and objects become JSON text."""
        text = value if isinstance(value, str) else canonical_json(value)
        plain = isinstance(value, bool | int | float)
        own = f"#value/{group}/{quote(name)}/{sha256_text(text)[:16]}"
        return self.add(own, "PropertyValue", name=name, value=value if plain else text, **more)

    def software(self, name: str, version: str) -> str:
        """A version of a piece of software."""
        own = f"#software/{name}/{quote(version)}"
        return self.add(own, "SoftwareApplication", name=name, softwareVersion=version)


def _alone(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
