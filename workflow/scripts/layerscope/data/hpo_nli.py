"""`hpo-nli`: natural language inference made from the hierarchy of the ontology.

The hypothesis is the name of a term H, the premise a definition:

- of a child of H: `entailment`, for whoever has the narrower abnormality has H;
- of a parent of H: `neutral`, for it may be H or another abnormality;
- of a term that shares no top-level branch with H: `contradiction`. (Strictly it is about something
  else: a patient may have both.)

Each H has one of each, so that its name alone says nothing of the label. The unrelated premises
are drawn from those that entail, or are neutral to, other hypotheses, so that a premise alone does
not give away a contradiction either. What a premise alone does tell is how specific it is: the
definition of a term without children entails more often than it is neutral.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from layerscope.data.ontology import Ontology, Term
from layerscope.data.rng import seeded
from layerscope.data.text import text_key

LABELS: tuple[str, ...] = ("entailment", "neutral", "contradiction")
CAVEATS: tuple[str, ...] = (
    "Labels follow from the is-a hierarchy, not from human judgement of each pair.",
    "A contradiction is the definition of an unrelated abnormality: the two exclude each other as "
    "descriptions, not in a patient.",
    "A definition may be the premise of several pairs of its split, with different hypotheses and "
    "labels; report.json says how often.",
)

Pair = dict[str, str]


def make_pairs(ontology: Ontology, split_of: Mapping[str, str], seed: int) -> dict[str, list[Pair]]:
    """All pairs, by split.

    Args:
        ontology: the terms.
        split_of: split of each term; what a pair is made of is of one split.
        seed: of the choice among children, parents and unrelated terms.

    Returns:
        Split to rows of the kind `nli`, three a hypothesis, by the hypothesis's id. The group is
        the hypothesis's id.
    """
    defined = _distinct_definitions(ontology.terms.values())
    return {
        split: _split_pairs(
            [ontology.terms[id_] for id_ in ontology.terms if split_of[id_] == split],
            {id_ for id_ in defined if split_of[id_] == split},
            ontology.terms,
            seeded(f"nli {split}", seed),
        )
        for split in dict.fromkeys(split_of.values())
    }


def _distinct_definitions(terms: Iterable[Term]) -> set[str]:
    """Terms whose definition no earlier term has."""
    first: dict[str, str] = {}
    for term in terms:
        if key := text_key(term.definition):
            first.setdefault(key, term.id)
    return set(first.values())


def _split_pairs(
    hypotheses: Sequence[Term], defined: set[str], terms: Mapping[str, Term], rng: random.Random
) -> list[Pair]:
    premises: dict[str, dict[str, str]] = {}
    used: Counter[str] = Counter()
    for term in rng.sample(hypotheses, len(hypotheses)):
        children = [id_ for id_ in term.children if id_ in defined]
        parents = [id_ for id_ in term.parents if id_ in defined]
        if children and parents:
            entailing = _least_used(children, used, rng)
            neutral = _least_used(parents, used, rng)
            premises[term.id] = {"entailment": entailing, "neutral": neutral}
    # A queue of every premise as often as it is used: half of it meets an unrelated hypothesis.
    queue = [id_ for chosen in premises.values() for id_ in chosen.values()]
    rng.shuffle(queue)
    for id_, chosen in list(premises.items()):
        branches = set(terms[id_].branches)
        for place, premise in enumerate(queue):
            if branches.isdisjoint(terms[premise].branches):
                chosen["contradiction"] = premise
                del queue[place]
                break
        else:  # only in a tiny ontology: nothing unrelated is left
            del premises[id_]
    return [
        {
            "example_id": f"{id_}-{label}",
            "group_id": id_,
            "premise": terms[premises[id_][label]].definition,
            "hypothesis": terms[id_].name,
            "label": label,
        }
        for id_ in sorted(premises)
        for label in LABELS
    ]


def _least_used(candidates: Sequence[str], used: Counter[str], rng: random.Random) -> str:
    fewest = min(used[id_] for id_ in candidates)
    chosen = rng.choice([id_ for id_ in candidates if used[id_] == fewest])
    used[chosen] += 1
    return chosen
