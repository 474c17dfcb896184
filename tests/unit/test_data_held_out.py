"""Splits that a corpus does not come with, and examples that two splits share."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from labelled_files import EVERYTHING

from layerscope.config.base import Invalid
from layerscope.config.tasks import LocalFiles, check_source
from layerscope.core.errors import UserError
from layerscope.data.labelled import read_task

LABELS = ("yes", "no", "perhaps")


def pairs(count, group_of=lambda number: number // 3, text=lambda number: f"text {number}"):
    """Lines of pairs: three of each group, one of each label."""
    return [
        {"premise": text(number), "hypothesis": f"claim {number}", "label": LABELS[number % 3],
         "example_id": f"p{number}", "group_id": f"g{group_of(number)}"}
        for number in range(count)
    ]  # fmt: skip


def read(folder, files, seed=1, **options):
    named = {}
    for split, rows in files.items():
        named[split] = f"{split}.jsonl"
        (folder / named[split]).write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = LocalFiles(kind="files", files=named, format="jsonl", **options)
    check_source("nli", source)
    return read_task("nli", source, folder, EVERYTHING, seed)


def test_held_out_splits_are_whole_groups_of_the_training_examples(tmp_path):
    rows = pairs(300)
    task = read(tmp_path, {"train": rows}, held_out={"validation": 10, "test": 20})
    sizes = {split: len(own) for split, own in task.splits.items()}
    assert sizes == {"train": 210, "validation": 30, "test": 60}
    groups = [{row["group_id"] for row in own} for own in task.splits.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    assert Counter(row["label"] for row in task.splits["test"]) == dict.fromkeys(LABELS, 20)
    assert task.facts["held_out"] == {"validation": 10, "test": 20}
    again = read(tmp_path, {"train": rows}, held_out={"validation": 10, "test": 20})
    assert again.splits == task.splits
    other = read(tmp_path, {"train": rows}, seed=2, held_out={"validation": 10, "test": 20})
    assert other.splits != task.splits


def test_labels_are_stratified(tmp_path):
    rows = [{**row, "group_id": str(at), "label": "rare" if at % 10 == 0 else "common"}
            for at, row in enumerate(pairs(200))]  # fmt: skip
    task = read(tmp_path, {"train": rows, "test": rows[:20]}, held_out={"validation": 25})
    assert Counter(row["label"] for row in task.splits["validation"]) == {"rare": 5, "common": 45}


def test_a_rare_type_is_in_every_split_though_it_never_is_the_most_frequent_of_a_sentence(tmp_path):
    def line(at):
        rare = at % 10 == 0
        tags = ["B-common", "B-common", "B-rare" if rare else "O"]
        return {"tokens": [f"w{at}", "and", "x"], "tags": tags}

    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line(at)) + "\n" for at in range(60)))
    source = LocalFiles(kind="files", files={"train": "train.jsonl"}, format="jsonl",
                        held_out={"validation": 20, "test": 20})  # fmt: skip
    for seed in range(20):
        task = read_task("ner", source, tmp_path, EVERYTHING, seed)
        assert all(any("B-rare" in row["tags"] for row in own) for own in task.splits.values())


def test_a_held_out_split_is_as_near_to_its_percentage_as_groups_allow(tmp_path):
    """Ten groups of 29 and ten of one: never two large ones where 30 of 300 are wanted."""
    rows = pairs(300, group_of=lambda at: at // 29 if at < 290 else at)
    rows = [{**row, "label": LABELS[at % 2]} for at, row in enumerate(rows)]
    for seed in range(20):
        task = read(tmp_path, {"train": rows, "validation": rows[:9]}, seed, held_out={"test": 10})
        assert abs(len(task.splits["test"]) - 30) <= 29 / 2


def test_a_label_that_was_held_out_altogether_is_said_to_be(tmp_path):
    rows = [
        {**row, "label": "rare" if at == 0 else LABELS[at % 2]} for at, row in enumerate(pairs(9))
    ]
    said = "label 'rare' is not in the training data that held_out leave"
    found = []
    for seed in range(12):
        try:
            read(tmp_path, {"train": rows, "validation": rows[3:]}, seed, held_out={"test": 30})
        except UserError as error:
            found.append(str(error))
    assert found
    assert all(said in line for line in found)


def test_texts_of_symbols_alone_are_compared_as_they_stand(tmp_path):
    def row(id_, premise, label):
        return {"example_id": id_, "premise": premise, "hypothesis": "!", "label": label}

    train = [row("a", "?", "yes"), row("b", "!!", "no"), row("c", "#", "yes")]
    later = {"validation": [row("d", "$", "yes")], "test": [row("e", "#", "yes")]}
    task = read(tmp_path, {"train": train, **later}, drop_overlap="examples")
    assert [row["example_id"] for row in task.splits["train"]] == ["a", "b"]


def test_groups_that_only_some_files_name_are_not_compared(tmp_path):
    named = pairs(6)
    unnamed = [{key: row[key] for key in row if key != "group_id"} for row in named]
    said = r"test\.jsonl: no column 'group_id', which .*train\.jsonl has"
    with pytest.raises(UserError, match=said):
        read(
            tmp_path, {"train": named, "validation": named, "test": unnamed}, drop_overlap="groups"
        )


@pytest.mark.parametrize(
    ("what", "left"), [("examples", [3, 2, 2]), ("groups", [4, 2, 2]), (None, [5, 3, 2])]
)
def test_training_data_gives_way_to_what_later_splits_have(tmp_path, what, left):
    def row(id_, premise, group, label):
        return {"example_id": id_, "premise": premise, "hypothesis": "claim", "group_id": group,
                "label": label}  # fmt: skip

    test = [row("a", "first text", "g0", "yes"), row("b", "second", "g1", "no")]
    validation = [
        row("c", "third", "g2", "yes"),
        row("d", "fourth", "g3", "no"),
        row("e", "first text", "g0", "yes"),
    ]
    train = [
        row("f", "First text!", "own", "yes"),
        row("g", "third", "own", "no"),
        row("h", "fifth", "g1", "yes"),
        row("i", "sixth", "own", "no"),
        row("j", "seventh", "own", "yes"),
    ]
    files = {"train": train, "validation": validation, "test": test}
    task = read(tmp_path, files, drop_overlap=what)
    assert [len(task.splits[split]) for split in EVERYTHING] == left
    if what:
        dropped = task.facts["left_out_by_overlap"]
        assert [dropped[split] for split in EVERYTHING] == [
            before - after for before, after in zip([5, 3, 2], left, strict=True)]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        (pairs(6, group_of=lambda _: 0), {"validation": 10, "test": 10},
         "held_out.test 10 % of the training data: 6 of 6 examples"),
        (pairs(2, group_of=lambda number: number), {"validation": 50, "test": 50},
         "held_out: nothing is left for train"),
    ],
)  # fmt: skip
def test_a_division_that_cannot_be_is_one_line(tmp_path, rows, options, said):
    with pytest.raises(UserError, match=said):
        read(tmp_path, {"train": rows}, held_out=options)


@pytest.mark.parametrize(
    ("files", "held_out", "where", "said"),
    [
        ({"train": "a"}, {"test": 10}, ("source", "files", "validation"), "is missing; allowed"),
        ({"train": "a", "validation": "b", "test": "c"}, {"test": 10},
         ("source", "held_out", "test"), "10, though files.test names a file"),
    ],
)  # fmt: skip
def test_a_split_comes_from_a_file_or_from_the_training_examples(files, held_out, where, said):
    source = LocalFiles(kind="files", files=files, format="jsonl", held_out=held_out)
    with pytest.raises(Invalid, match=said) as error:
        check_source("nli", source)
    assert error.value.where == where
