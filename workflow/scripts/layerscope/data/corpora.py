"""Plain text to pre-train on, with a part held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from layerscope.core.errors import UserError
from layerscope.data.docstrings import docstrings, package_files, prose
from layerscope.data.ontology import Ontology, Term
from layerscope.data.rng import seeded
from layerscope.data.sampling import capped_sample
from layerscope.data.text import sentences, text_key
from layerscope.data.textfile import TextFile

HELD_OUT_FILES = 0.03  # share of the source files


@dataclass(frozen=True)
class Corpus:
    """Documents as (id, text); no sentence of the training part is held out.

    In what is derived here no sentence occurs twice; files of the user's are taken as they are.
    """

    train: Sequence[tuple[str, str]]
    heldout: Sequence[tuple[str, str]]


def _unseen(pieces: Iterable[str], seen: set[str]) -> list[str]:
    """The pieces that are not in `seen`, by `text_key`; they are added to it."""
    kept = []
    for piece in pieces:
        if (key := text_key(piece)) and key not in seen:
            seen.add(key)
            kept.append(piece)
    return kept


# --- text of the ontology ----------------------------------------------------------------------


def hpo_text(
    ontology: Ontology, split_of: Mapping[str, str], max_words: int | None, seed: int
) -> Corpus:
    """Names, exact synonyms, definitions and comments; a document is a term.

    Trained on are the training terms, without any name, synonym, sentence or whole text that a
    term of validation or test has too. Held out are the validation terms.

    Args:
        ontology: the terms.
        split_of: split of each term.
        max_words: of the training part, reached by a seeded choice of terms; None for all.
        seed: of that choice.
    """
    terms = ontology.terms.values()
    train, heldout = (
        [term for term in terms if split_of[term.id] == split] for split in ("train", "validation")
    )
    seen: set[str] = set()
    heldout_documents = [_document(term, seen) for term in heldout]
    for term in terms:
        if split_of[term.id] != "train":
            _unseen([*_names(term), *_sentences(term), term.definition, term.comment], seen)
    documents = [document for term in train if (document := _document(term, seen))[1]]
    sizes = [len(text.split()) for _, text in documents]
    ids = [id_ for id_, _ in documents]
    chosen = capped_sample(ids, [""] * len(ids), sizes, max_words, seed)
    return Corpus(
        [documents[index] for index in chosen], [each for each in heldout_documents if each[1]]
    )


def _names(term: Term) -> list[str]:
    return [term.name, *term.exact_synonyms]


def _sentences(term: Term) -> list[str]:
    return [*sentences(term.definition), *sentences(term.comment)]


def _document(term: Term, seen: set[str]) -> tuple[str, str]:
    """A line of names, and the sentences after it; only what is not in `seen`."""
    names = "; ".join(_unseen(_names(term), seen))
    parts = [f"{names}." if names else "", *_unseen(_sentences(term), seen)]
    return term.id, " ".join(part for part in parts if part)


# --- documentation of packages -----------------------------------------------------------------


def package_docs(packages: Sequence[str], max_words: int | None, seed: int) -> Corpus:
    """Prose of the docstrings of installed packages; a document is a docstring.

    Args:
        packages: import names.
        max_words: of the training part, reached by a seeded order of source files; None for all.
        seed: of the choice of files that are held out whole, and of that order.

    Raises:
        UserError: a package is not installed as Python source.
    """
    files = [file for package in packages for file in package_files(package)]
    seeded("package-docs", seed).shuffle(files)
    cut = max(1, round(HELD_OUT_FILES * len(files)))
    seen: set[str] = set()
    heldout = [each for name, path in files[:cut] for each in _docs(name, path.read_bytes(), seen)]
    train: list[tuple[str, str]] = []
    words = 0
    for name, path in files[cut:]:
        for document in _docs(name, path.read_bytes(), seen):
            words += len(document[1].split())
            if max_words is not None and words > max_words:
                return Corpus(train, heldout)
            train.append(document)
    return Corpus(train, heldout)


def _docs(name: str, source: bytes, seen: set[str]) -> list[tuple[str, str]]:
    """Documents of a source file, with what is not in `seen`."""
    documents = []
    for line, docstring in docstrings(source):
        paragraphs = (_unseen(sentences(text), seen) for text in prose(docstring))
        if text := "\n".join(" ".join(kept) for kept in paragraphs if kept):
            documents.append((f"{name}:{line}", text))
    return documents


# --- text files ----------------------------------------------------------------------------------


def text_files(
    train: TextFile, heldout: TextFile, max_words: int | None, seed: int
) -> tuple[Corpus, int]:
    """Documents of two files; a document is what stands between blank lines, on one line here.

    Sentences that the training file has too, by `text_key`, are not held out.

    Args:
        train: to learn from.
        heldout: to measure on.
        max_words: of the training part, reached by a seeded choice of documents; None for all.
        seed: of that choice.

    Returns:
        The corpus, and how many sentences were dropped from the part held out.

    Raises:
        UserError: nothing is left of a part.
    """
    documents = _documents(train)
    if not documents:
        raise UserError(f"{train.path}: no text; allowed: documents between blank lines")
    seen = {text_key(sentence) for _, text in documents for sentence in sentences(text)}
    kept: list[tuple[str, str]] = []
    dropped = 0
    for id_, text in _documents(heldout):
        all_of_it = sentences(text)
        unseen = [sentence for sentence in all_of_it if text_key(sentence) not in seen]
        dropped += len(all_of_it) - len(unseen)
        if unseen:
            kept.append((id_, " ".join(unseen)))
    if not kept:
        raise UserError(
            f"{heldout.path}: no sentence that is not in {train.path}; allowed: one or more"
        )
    sizes = [len(text.split()) for _, text in documents]
    ids = [id_ for id_, _ in documents]
    chosen = capped_sample(ids, [""] * len(ids), sizes, max_words, seed)
    if not chosen:
        raise UserError(
            f"{train.path}: the document drawn first has more words than max_words, {max_words}; "
            "allowed: more words, or shorter documents"
        )
    return Corpus([documents[index] for index in chosen], kept), dropped


def _documents(file: TextFile) -> list[tuple[str, str]]:
    """Documents, with file and first line as id."""
    found: list[tuple[str, str]] = []
    lines: list[str] = []
    for number, line in enumerate([*file.lines, ""], 1):
        words = " ".join(line.split())
        if words:
            lines.append(words)
        elif lines:
            found.append((f"{file.path.name}:{number - len(lines)}", " ".join(lines)))
            lines = []
    return found
