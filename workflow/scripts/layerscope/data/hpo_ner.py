"""`hpo-ner`: named entity recognition with labels projected from a dictionary.

The sentences are those of definitions and comments of the ontology. The entities are names and
exact synonyms of its terms in five top-level branches. Nobody has read and labelled these
sentences: a mention in other words is missed, and a common word that happens to be a synonym (such
as "collecting", of hoarding) is marked.

Words are matched from left to right, the longest name first, without regard to case; a word with a
capital past its first letter matches only as written, so that `ODD` (oppositional defiant
disorder) is no `odd`. A name whose term lies in several of the five branches (5 % of the names) has
the first of its types in `PRECEDENCE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layerscope.data.iob import entity_labels
from layerscope.data.ontology import Ontology
from layerscope.data.text import sentences, text_key, words

TYPE_OF_BRANCH = {
    "HP:0000707": "nervous",
    "HP:0001626": "cardiovascular",
    "HP:0000478": "eye",
    "HP:0033127": "musculoskeletal",
    "HP:0002664": "neoplasm",
}
LABELS: tuple[str, ...] = tuple(entity_labels(list(TYPE_OF_BRANCH.values())))
#: What a thing is (a tumour) before where it is, and a smaller system before a larger one: a
#: hemangioma is a neoplasm, a retinal vessel is of the eye, spasticity is nervous.
PRECEDENCE = ("neoplasm", "eye", "cardiovascular", "nervous", "musculoskeletal")
CAVEATS: tuple[str, ...] = (
    "Labels are projected from a dictionary of names and exact synonyms; no one has read them. "
    "Mentions in other words are missed, and words that happen to be a synonym are marked.",
    "A name of several of the five branches has one type, by a fixed precedence "
    f"({', '.join(PRECEDENCE)}).",
    "Sentences without an entity are left out, so entities are denser than in running text.",
)

Names = dict[tuple[str, ...], list[str]]
Sentence = dict[str, Any]


def entity_names(ontology: Ontology) -> Names:
    """The dictionary: words of a name, folded, to all its types, in the order of `PRECEDENCE`."""
    types: dict[tuple[str, ...], set[str]] = {}
    for term in ontology.terms.values():
        found = {TYPE_OF_BRANCH[branch] for branch in term.branches if branch in TYPE_OF_BRANCH}
        for name in (term.name, *term.exact_synonyms) if found else ():
            types.setdefault(tuple(map(_fold, words(name))), set()).update(found)
    return {name: sorted(found, key=PRECEDENCE.index) for name, found in types.items()}


def make_sentences(ontology: Ontology, split_of: Mapping[str, str]) -> dict[str, list[Sentence]]:
    """All sentences with an entity, by split.

    A sentence that occurs again, but for case, punctuation and white space, is kept where it
    stands first.

    Returns:
        Split to rows of the kind `ner`, by the id of the term that a sentence describes, which is
        its group.
    """
    names = entity_names(ontology)
    longest = longest_names(names)
    rows: dict[str, list[Sentence]] = {split: [] for split in dict.fromkeys(split_of.values())}
    seen: set[str] = set()
    for term in ontology.terms.values():
        texts = [*sentences(term.definition), *sentences(term.comment)]
        for number, text in enumerate(texts):
            if (key := text_key(text)) in seen:
                continue
            seen.add(key)
            tokens = words(text)
            tags = project(tokens, names, longest)
            if any(tag != "O" for tag in tags):
                rows[split_of[term.id]].append(
                    {
                        "example_id": f"{term.id}-{number:02d}",
                        "group_id": term.id,
                        "tokens": tokens,
                        "tags": tags,
                    }
                )
    return rows


def longest_names(names: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """How many words the longest name has that begins with a word."""
    found: dict[str, int] = {}
    for name in names:
        if name:
            found[name[0]] = max(found.get(name[0], 0), len(name))
    return found


def project(
    tokens: Sequence[str],
    names: Mapping[tuple[str, ...], Sequence[str]],
    longest: Mapping[str, int],
) -> list[str]:
    """IOB2 tags of a sentence by the longest match of names, from left to right.

    Args:
        tokens: the words of the sentence.
        names: as from `entity_names`.
        longest: as from `longest_names`.
    """
    folded = [_fold(token) for token in tokens]
    tags = ["O"] * len(tokens)
    start = 0
    while start < len(tokens):
        for end in range(min(start + longest.get(folded[start], 0), len(tokens)), start, -1):
            if types := names.get(tuple(folded[start:end])):
                tags[start:end] = [f"B-{types[0]}", *[f"I-{types[0]}"] * (end - start - 1)]
                start = end
                break
        else:
            start += 1
    return tags


def _fold(word: str) -> str:
    return word.casefold() if word[1:] == word[1:].lower() else word
