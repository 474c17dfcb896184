"""What can be had without a language model: majority and bag-of-words baselines.

Their predictions are written as a fine-tuned model's are, so both are scored by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples, text_columns
from layerscope.core.measures import BASELINES_OF_KIND
from layerscope.statistics.metrics import encode

Codes = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]

MAJORITY = "majority"
#: Which column of a table of pairs a baseline of one half reads.
HALVES = {"premise-only": "premise", "hypothesis-only": "hypothesis"}
#: C of scikit-learn: the default for TF-IDF, whose rows have length 1. Words and neighbours as 0 or
#: 1 are mostly rare, and with the default hardly any entity is found.
TEXT_C, WORD_C = 1.0, 10.0
#: Iterations that L-BFGS may take; sparse features need more than scikit-learn's default.
ITERATIONS = 1000


def majority(labels: Codes, rows: int, names: int) -> Probabilities:
    """Label frequencies in the training data, for every test row: rows x names."""
    return np.tile(np.bincount(labels, minlength=names) / len(labels), (rows, 1))


def _logistic(train: Any, labels: Codes, test: Any, names: int, c: float) -> Probabilities:
    """Probabilities by logistic regression on sparse features; 0 for labels never trained on."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) == 1:
        return majority(labels, test.shape[0], names)
    model = LogisticRegression(C=c, max_iter=ITERATIONS).fit(train, labels)
    probabilities = np.zeros((test.shape[0], names))
    probabilities[:, model.classes_] = model.predict_proba(test)
    return probabilities


def bag_of_texts(
    train: Sequence[Sequence[str]], labels: Codes, test: Sequence[Sequence[str]], names: int
) -> Probabilities:
    """Logistic regression on TF-IDF of texts, each column of texts with features of its own.

    Words of one letter are no features. Texts of nothing else say nothing beyond `majority`.

    Args:
        train: one or more columns of texts, such as premises and hypotheses.
        labels: of the training rows.
        test: the same columns of the test rows.
        names: number of labels.

    Returns:
        Test rows x names.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    blocks, test_blocks = [], []
    for texts, test_texts in zip(train, test, strict=True):
        vectorizer = TfidfVectorizer()
        if not any(map(vectorizer.build_analyzer(), texts)):
            continue  # no word of two letters or more, so no feature
        blocks.append(vectorizer.fit_transform(texts))
        test_blocks.append(vectorizer.transform(test_texts))
    if not blocks:
        return majority(labels, len(test[0]), names)
    return _logistic(hstack(blocks).tocsr(), labels, hstack(test_blocks).tocsr(), names, TEXT_C)


def word_features(sentences: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Each word and its neighbours in its sentence, in lower case, marked by their place."""
    features: list[tuple[str, str, str]] = []
    for sentence in sentences:
        lower = [word.lower() for word in sentence]
        around = zip(["", *lower[:-1]], lower, [*lower[1:], ""], strict=True)
        features.extend((f"<{before}", f"={word}", f">{after}") for before, word, after in around)
    return features


def bag_of_neighbours(
    train: Sequence[Sequence[str]], labels: Codes, test: Sequence[Sequence[str]], names: int
) -> Probabilities:
    """Logistic regression on the word and its two neighbours.

    Args:
        train: training sentences, each a list of words.
        labels: of all training words.
        test: test sentences.
        names: number of labels.

    Returns:
        Test words x names.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    # A callable analyser takes the features as they are.
    vectorizer = CountVectorizer(analyzer=tuple)
    features = vectorizer.fit_transform(word_features(train))
    return _logistic(features, labels, vectorizer.transform(word_features(test)), names, WORD_C)


def _flat(table: pa.Table, kind: str) -> dict[str, list[Any]]:
    """Key columns and labels, a row an example or a word (NER)."""
    keys = table.select(["example_id", "group_id"]).to_pydict()
    if labels_examples(kind):
        words = [0] * table.num_rows
        return {**keys, "word_index": words, "label": table.column("label").to_pylist()}
    tags = table.column("tags").to_pylist()
    return {
        name: [value for value, row in zip(keys[name], tags, strict=True) for _ in row]
        for name in keys
    } | {
        "word_index": [index for row in tags for index in range(len(row))],
        "label": [tag for row in tags for tag in row],
    }


def predict_baseline(
    name: str, train: pa.Table, test: pa.Table, kind: str, names: Sequence[str]
) -> dict[str, Any]:
    """Columns of kind `predictions` of one baseline.

    Args:
        name: one of `BASELINES_OF_KIND[kind]`.
        train: the rows of a prepared table to learn from.
        test: the prepared table to predict.
        kind: of the task.
        names: label names; probabilities follow their order.

    Raises:
        UserError: the baseline does not fit the task, or a label is not among `names`.
    """
    if name not in BASELINES_OF_KIND[kind]:
        allowed = ", ".join(BASELINES_OF_KIND[kind])
        raise UserError(f"baseline '{name}' for a task of kind '{kind}'; allowed: {allowed}")
    labels = encode(_flat(train, kind)["label"], names)
    columns = _flat(test, kind)
    if not len(labels):
        raise UserError(f"baseline '{name}': no training rows; allowed: at least one")
    if name == MAJORITY:
        probabilities = majority(labels, len(columns["label"]), len(names))
    elif labels_examples(kind):
        texts = [HALVES[name]] if name in HALVES else text_columns(kind)
        probabilities = bag_of_texts(
            [train.column(text).to_pylist() for text in texts],
            labels,
            [test.column(text).to_pylist() for text in texts],
            len(names),
        )
    else:
        probabilities = bag_of_neighbours(
            train.column("tokens").to_pylist(),
            labels,
            test.column("tokens").to_pylist(),
            len(names),
        )
    return columns | {
        "predicted": [names[code] for code in probabilities.argmax(axis=1)],
        "probabilities": probabilities.astype(np.float32).tolist(),
    }
