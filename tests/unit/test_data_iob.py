import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from layerscope.data.iob import entity_labels, repair_iob2, spans, validate
from layerscope.errors import UserError

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
