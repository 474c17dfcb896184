from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layerscope.core.errors import UserError
from layerscope.data.sampling import (
    capped_sample,
    check_fraction,
    entity_stratum,
    limited,
    nested_sample,
    probe_sample,
    reserved_rows,
    strata,
)

STEADY = settings(deadline=None)  # no test depends on how busy the machine is

SEEDS = st.integers(0, 1000)


@st.composite
def tables(draw):
    """Groups of one to four examples in shuffled order, with labels."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=40))
    groups = [f"g{index}" for index, size in enumerate(sizes) for _ in range(size)]
    groups = draw(st.permutations(groups))
    labels = draw(st.lists(st.sampled_from("abc"), min_size=len(groups), max_size=len(groups)))
    return [f"e{row}" for row in range(len(groups))], groups, labels


def groups_are_whole(ids, groups, chosen):
    inside = {group for id_, group in zip(ids, groups, strict=True) if id_ in chosen}
    return all(id_ in chosen for id_, group in zip(ids, groups, strict=True) if group in inside)


@STEADY
@given(tables(), SEEDS, st.integers(1, 100), st.integers(1, 100))
def test_samples_are_nested_whole_and_near_their_fraction(table, seed, p, q):
    ids, groups, labels = table
    small, large = (set(nested_sample(ids, groups, labels, x, seed)) for x in sorted((p, q)))
    assert small <= large
    assert groups_are_whole(ids, groups, small)
    largest = max(Counter(groups).values())
    first_group_alone = len({g for i, g in zip(ids, groups, strict=True) if i in small}) == 1
    off = abs(len(small) - min(p, q) / 100 * len(ids))
    assert off <= largest / 2 or first_group_alone


@STEADY
@given(tables(), SEEDS)
def test_all_is_everything_in_order_and_none_is_nothing(table, seed):
    ids, groups, labels = table
    assert nested_sample(ids, groups, labels, 100, seed) == ids
    assert nested_sample(ids, groups, labels, 0, seed) == []


@STEADY
@given(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=200),
    SEEDS,
    st.integers(1, 100),
)
def test_each_stratum_has_its_fraction(labels, seed, percent):
    ids = [f"e{row}" for row in range(len(labels))]
    chosen = set(nested_sample(ids, ids, labels, percent, seed))
    got = Counter(label for id_, label in zip(ids, labels, strict=True) if id_ in chosen)
    # The fraction at which the order is cut lies as near to `percent` as the strata's own rounding.
    strata_count = len(set(labels))
    for label, total in Counter(labels).items():
        slack = 1 + (strata_count + 1) * total / len(labels)
        assert abs(got[label] - percent / 100 * total) <= slack


def test_the_seed_matters_and_the_order_of_rows_does_not():
    ids = [f"e{row:03d}" for row in range(200)]
    labels = ["ab"[row % 2] for row in range(200)]
    one = nested_sample(ids, ids, labels, 30, 1)
    assert one == nested_sample(ids, ids, labels, 30, 1)
    assert one != nested_sample(ids, ids, labels, 30, 2)
    backwards = nested_sample(ids[::-1], ids[::-1], labels[::-1], 30, 1)
    assert backwards == one[::-1]


@STEADY
@given(tables(), SEEDS, st.integers(1, 60))
def test_capped_samples_hold_whole_groups_up_to_the_cap(table, seed, cap):
    ids, groups, labels = table
    rows = capped_sample(groups, labels, None, cap, seed)
    assert rows == sorted(set(rows))
    assert len(rows) <= cap
    assert groups_are_whole(ids, groups, {ids[row] for row in rows})
    if cap < len(ids):
        assert len(rows) > cap - max(Counter(groups).values())
    else:
        assert len(rows) == len(ids)


@STEADY
@given(st.lists(st.integers(1, 30), min_size=1, max_size=50), SEEDS, st.integers(1, 400))
def test_capped_samples_count_sizes(sizes, seed, cap):
    ids = [f"e{row}" for row in range(len(sizes))]
    rows = capped_sample(ids, ["a"] * len(ids), sizes, cap, seed)
    total = sum(sizes[row] for row in rows)
    assert total <= cap
    assert len(rows) == len(ids) or total > cap - max(sizes)


def test_no_cap_is_everything():
    assert capped_sample(["g", "h"], ["a", "b"], None, None, 3) == [0, 1]


@pytest.mark.parametrize(
    ("tags", "stratum"),
    [
        (["O", "O"], "O"),
        (["B-eye", "I-eye", "I-eye", "O", "B-neoplasm", "B-neoplasm"], "neoplasm"),
        (["B-neoplasm", "O", "B-eye"], "eye"),
    ],
)
def test_stratum_of_a_sentence_is_its_most_frequent_entity_type(tags, stratum):
    assert entity_stratum(tags) == stratum
    assert strata("ner", [{"tags": tags}]) == [stratum]


def test_stratum_of_a_pair_is_its_label():
    assert strata("nli", [{"label": "neutral"}]) == ["neutral"]


@STEADY
@given(tables(), st.integers(0, 50))
def test_reserved_rows_and_the_rest_are_whole_groups_that_share_nothing(table, percent):
    keys = ("example_id", "group_id", "label")
    rows = [dict(zip(keys, row, strict=True)) for row in zip(*table, strict=True)]
    try:
        rest, kept = reserved_rows(rows, "nli", percent)
    except UserError:
        assert len(rows) == 1 or max(Counter(table[1]).values()) > 1
        return
    assert rest
    assert percent == 0 or len(set(table[1])) > 1
    assert sorted(row["example_id"] for row in rest + kept) == sorted(table[0])
    assert not {row["group_id"] for row in rest} & {row["group_id"] for row in kept}
    assert (kept == []) == (percent == 0)


def pairs(*sizes):
    """Rows of groups of these sizes."""
    return [
        {"example_id": f"{group}-{row}", "group_id": f"g{group}", "label": "ab"[row % 2]}
        for group, size in enumerate(sizes)
        for row in range(size)
    ]


@pytest.mark.parametrize(
    ("sizes", "percent", "size", "right"),
    [
        ((60,), 10, 60, False),  # all pairs under one premise
        ((60,), 90, 60, False),
        ((90, 10), 30, 90, False),
        ((90, 5, 5), 90, 90, True),
        ((60,), 100, 60, True),
        ((3, 3, 3, 3, 3, 3, 2), 10, 3, True),
        ((1, 1, 1, 1), 10, 1, True),  # a small table
    ],
)
def test_a_sample_that_a_group_makes_another_fraction_is_refused(sizes, percent, size, right):
    rows = pairs(*sizes)
    if right:
        check_fraction(rows, size, percent, "10 %")
        return
    said = rf"^10 % of the training data: {size} of {len(rows)} examples, .* group 'g0' \(that of"
    with pytest.raises(UserError, match=said):
        check_fraction(rows, size, percent, "10 %")


def test_a_limit_that_no_group_fits_names_the_group():
    with pytest.raises(UserError, match=r"^limit.train 30: .* 'g0', which has 60 .* 60 or m"):
        limited("nli", pairs(60), 30, 1, "train")
    assert len(limited("nli", pairs(60), 60, 1, "train")) == 60
    words = [{"example_id": "s", "group_id": "d", "tokens": ["a"] * 700, "tags": ["O"] * 700}]
    with pytest.raises(UserError, match=r"^probe_limit 500: .* 's', which has 700 words"):
        probe_sample("ner", words, 500, 1)
