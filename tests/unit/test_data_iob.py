import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score as seqeval_f1
from seqeval.metrics.sequence_labeling import get_entities

from layerscope.core.errors import UserError
from layerscope.data.iob import (
    entity_labels,
    merge,
    merged_labels,
    repair_iob2,
    spans,
    unmerge,
    validate,
)
from layerscope.statistics import metrics

PROTOCOLS = Path(__file__).parents[2] / "docs" / "protocols.md"

STEADY = settings(deadline=None)  # no test depends on how busy the machine is

LABELS = entity_labels(["eye", "neoplasm"])
TAGS = st.lists(st.sampled_from(LABELS), max_size=12)


def seqeval_spans(tags):
    return [(start, end + 1, kind) for kind, start, end in get_entities(list(tags))]


def test_labels_are_outside_then_begin_and_inside_of_each_type():
    assert LABELS == ["O", "B-eye", "I-eye", "B-neoplasm", "I-neoplasm"]


@STEADY
@given(TAGS)
def test_spans_are_those_of_seqeval_even_where_tags_break_the_scheme(tags):
    assert spans(tags) == seqeval_spans(tags)


@STEADY
@given(TAGS)
def test_repair_gives_valid_tags_with_the_same_entities(tags):
    repaired, changed = repair_iob2(tags)
    validate(repaired, LABELS, "here")
    assert seqeval_spans(repaired) == seqeval_spans(tags)
    assert changed == sum(a != b for a, b in zip(tags, repaired, strict=True))


@STEADY
@given(TAGS)
def test_repair_leaves_repaired_tags_alone(tags):
    repaired, _ = repair_iob2(tags)
    assert repair_iob2(repaired) == (repaired, 0)


def test_repair_by_hand():
    tags = ["I-eye", "I-eye", "O", "I-eye", "B-neoplasm", "I-eye", "I-eye"]
    assert repair_iob2(tags) == (
        ["B-eye", "I-eye", "O", "B-eye", "B-neoplasm", "B-eye", "I-eye"],
        3,
    )


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        (["O", "I-eye"], "'I-eye' at 1 after 'O'"),
        (["B-eye", "I-neoplasm"], "'I-neoplasm' at 1 after 'B-eye'"),
        (["B-ear"], "'B-ear' at 0; allowed: O, B-eye"),
    ],
)
def test_validate_names_the_tag(tags, named):
    with pytest.raises(UserError, match=named):
        validate(tags, LABELS, "sentence 3")


TYPES = ["eye", "neoplasm"]


def one_sentence(types):
    return unmerge(types, ["s"] * len(types))


def touch(tags):
    """Whether two entities of one type stand side by side, by seqeval's reading."""
    found = seqeval_spans(tags)
    return any(a[2] == b[2] and a[1] == b[0] for a, b in pairwise(found))


@STEADY
@given(TAGS)
def test_merged_tags_turn_back_exactly_where_no_two_entities_of_a_type_touch(tags):
    tags, _ = repair_iob2(tags)
    merged = merge(tags)
    assert set(merged) <= {"O", *TYPES}
    assert (one_sentence(merged) == tags) is not touch(tags)


@STEADY
@given(st.lists(st.sampled_from(["O", *TYPES]), max_size=12))
def test_turned_back_tags_are_valid_and_merge_to_the_same(types):
    tags = one_sentence(types)
    validate(tags, LABELS, "here")
    assert merge(tags) == types


def test_a_run_ends_with_its_sentence():
    assert unmerge(["eye", "eye", "eye", "O"], ["a", "a", "b", "b"]) == [
        "B-eye", "I-eye", "B-eye", "O",
    ]  # fmt: skip


def test_merged_labels_are_outside_and_the_types():
    assert merged_labels(LABELS) == ["O", *TYPES]
    assert merged_labels(["B-eye", "I-eye", "O"]) == ["eye", "O"]


@pytest.mark.parametrize("labels", [["O", "B-eye"], ["B-eye", "I-eye"], ["O", "B-O", "I-O"]])
def test_labels_that_could_not_be_turned_back_are_refused(labels):
    with pytest.raises(UserError, match="allowed where they are merged: O"):
        merged_labels(labels)


def test_a_perfect_merged_tagger_is_capped_where_entities_touch():
    """Five true entities, two of which touch: four found, of which three are right."""
    tags = ["B-eye", "B-eye", "O", "B-eye", "B-neoplasm", "I-neoplasm", "O", "B-neoplasm"]
    answers = one_sentence(merge(tags))
    score = metrics.values(metrics.ner_metrics(tags, answers, ["s"] * len(tags), LABELS))
    assert score["entity_f1"] == pytest.approx(2 * 3 / (5 + 4))
    assert score["entity_f1"] == pytest.approx(seqeval_f1([tags], [answers]))


JNLPBA = Path(__file__).parents[2].parent / "shared" / "data" / "jnlpba" / "dataset"


@pytest.mark.skipif(not JNLPBA.is_dir(), reason=f"no {JNLPBA}")
def test_the_cap_on_jnlpba_is_the_documented_one():
    names = {code: tag for tag, code in json.loads((JNLPBA / "label.json").read_text()).items()}
    lines = (JNLPBA / "test.json").read_text(encoding="utf-8").splitlines()
    sentences = [[names[tag] for tag in json.loads(line)["tags"]] for line in lines]
    sentences = [repair_iob2(tags)[0] for tags in sentences]
    tags = [tag for sentence in sentences for tag in sentence]
    ids = [str(at) for at, sentence in enumerate(sentences) for _ in sentence]
    answers = unmerge(merge(tags), ids)
    score = metrics.values(metrics.ner_metrics(tags, answers, ids, list(names.values())))
    assert round(score["entity_f1"], 3) == 0.986
    assert f"{score['entity_f1']:.3f}" in PROTOCOLS.read_text(encoding="utf-8")
