"""Which split each term of the ontology belongs to: one assignment for tasks and corpora alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from layerscope.data.ontology import Ontology, Term
from layerscope.data.rng import seeded

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
#: Most terms of a family. Larger families break fewer ties between parent and child (of the terms
#: that have both a parent and a child with a definition, 95 % keep one of each at 100), smaller
#: ones make the splits more alike.
FAMILY_SIZE = 100


def assign_splits(ontology: Ontology, seed: int) -> dict[str, str]:
    """Assign every term to `train`, `validation` or `test`, family by family.

    Within each top-level branch, families go in seeded order to the split that is furthest below
    its share, so each split covers the whole body.

    Returns:
        Term id to split, in the order of the terms.
    """
    main = {id_: _main_parent(term, ontology.terms) for id_, term in ontology.terms.items()}
    heads = _families(main)
    sizes = Counter(heads.values())
    order = sorted(sizes)
    seeded("splits", seed).shuffle(order)
    filled: dict[str, Counter[str]] = defaultdict(Counter)
    split_of: dict[str, str] = {}
    for head in order:
        have = filled[_top(head, main)]
        total = have.total() + sizes[head]
        missing = {name: share * total - have[name] for name, share in SHARES.items()}
        split_of[head] = max(missing, key=missing.__getitem__)
        have[split_of[head]] += sizes[head]
    return {id_: split_of[heads[id_]] for id_ in ontology.terms}


def _main_parent(term: Term, terms: Mapping[str, Term]) -> str | None:
    """The parent with the fewest children, as the most specific; None at the top."""
    return min(term.parents, key=lambda p: (len(terms[p].children), p), default=None)


def _top(id_: str, main: Mapping[str, str | None]) -> str:
    while (parent := main[id_]) is not None:
        id_ = parent
    return id_


def _families(main: Mapping[str, str | None]) -> dict[str, str]:
    """Cut the tree of main parents into connected families of at most `FAMILY_SIZE` terms.

    From the leaves up, a term takes in what is left of its children, the smallest first; those
    that no longer fit become families of their own.

    Returns:
        Term id to the id that stands at the head of its family.
    """
    children: dict[str | None, list[str]] = defaultdict(list)
    for id_, parent in main.items():
        children[parent].append(id_)
    heads: dict[str, str] = {}

    def visit(id_: str) -> list[str]:
        family = [id_]
        for part in sorted((visit(child) for child in children[id_]), key=len):
            if len(family) + len(part) <= FAMILY_SIZE:
                family += part
            else:
                heads.update(dict.fromkeys(part, part[0]))
        return family

    for top in children[None]:
        part = visit(top)
        heads.update(dict.fromkeys(part, part[0]))
    return heads
