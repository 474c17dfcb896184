import pytest

from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.core.formats import file_metadata, read_table
from layerscope.data.prepared import PreparedTask, overlap, task_kind, write_task

NER = ("O", "B-eye", "I-eye")


def pair(id_, premise="It is big.", hypothesis="Big", label="yes", group="g"):
    return {
        "example_id": id_,
        "group_id": group,
        "premise": premise,
        "hypothesis": hypothesis,
        "label": label,
    }


def sentence(id_, tokens, tags, group="g"):
    return {"example_id": id_, "group_id": group, "tokens": tokens, "tags": tags}


def task(kind, labels, train, validation, test):
    splits = {"train": train, "validation": validation, "test": test}
    return PreparedTask(kind, labels, splits, {"release": "r1"}, {"seed": 3}, ["mind this"])


def test_tables_and_report_of_pairs(tmp_path):
    train = [
        pair("a"),
        pair("b", premise="it is  BIG"),
        pair("c", premise="It is a small thing.", label="no", group="h"),
    ]
    write_task(
        tmp_path,
        task("nli", ("no", "yes"), train, [pair("d", group="i")], [pair("e", hypothesis="Huge")]),
    )
    assert read_table(tmp_path / "train.parquet", "nli").to_pylist() == train
    described = file_metadata(tmp_path / "test.parquet", "nli")
    assert described["labels"] == ["no", "yes"]
    assert described["release"] == "r1"
    report = read_json(tmp_path / "report.json")
    assert report["caveats"] == ["mind this"]
    assert report["source"] == {"release": "r1"}
    assert report["splits"]["train"] == {
        "examples": 3,
        "groups": 2,
        "duplicates": 1,
        "distinct_texts": {"premises": 2, "hypotheses": 1},
        "most_uses": {"premises": 2, "hypotheses": 3},
        "labels": {"yes": 2, "no": 1},
        "words": 4 + 4 + 6,
        "words_per_example": {"min": 4, "median": 4, "mean": 4.67, "max": 6},
        "repaired_tags": 0,
    }
    assert report["overlap"] == {
        "train and validation": {"ids": 0, "groups": 0, "premises": 1, "hypotheses": 1, "pairs": 1},
        "train and test": {"ids": 0, "groups": 1, "premises": 1, "hypotheses": 0, "pairs": 0},
        "validation and test": {"ids": 0, "groups": 0, "premises": 1, "hypotheses": 0, "pairs": 0},
    }


def test_tables_and_report_of_sentences(tmp_path):
    broken = sentence("a", ["Red", "eye", "."], ["I-eye", "I-eye", "O"])
    other = sentence("b", ["No", "eye"], ["O", "B-eye"], group="h")
    write_task(tmp_path, task("ner", NER, [broken], [other], [other]))
    stored = read_table(tmp_path / "train.parquet", "ner").to_pylist()
    assert stored == [{**broken, "tags": ["B-eye", "I-eye", "O"]}]
    assert task_kind(tmp_path / "train.parquet") == "ner"
    report = read_json(tmp_path / "report.json")
    assert report["splits"]["train"]["repaired_tags"] == 1
    assert report["splits"]["train"]["entities"] == {"eye": 1}
    assert report["splits"]["train"]["tags"] == {"B-eye": 1, "I-eye": 1, "O": 1}
    assert report["overlap"]["validation and test"] == {"ids": 1, "groups": 1, "sentences": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "split 'train': 0 examples; allowed: 1 or more"),
        ([pair("a"), pair("a")], "example 'a': occurs twice"),
        ([pair("a", premise=" ")], "example 'a': premise is empty"),
        ([pair("a", label="perhaps")], "example 'a': label 'perhaps'; allowed: no, yes"),
    ],
)
def test_bad_pairs_are_refused_and_nothing_is_written(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        write_task(tmp_path, task("nli", ("no", "yes"), rows, [pair("v")], [pair("t")]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tokens", "tags", "message"),
    [
        ([], [], "an empty token or none"),
        (["a", ""], ["O", "O"], "an empty token or none"),
        (["a", "b"], ["O"], "1 tags for 2 tokens"),
        (["a"], ["B-ear"], "tag 'B-ear' at 0; allowed: O, B-eye, I-eye"),
    ],
)
def test_bad_sentences_are_refused(tmp_path, tokens, tags, message):
    good = [sentence("v", ["a"], ["O"])]
    with pytest.raises(UserError, match=message):
        write_task(tmp_path, task("ner", NER, [sentence("a", tokens, tags)], good, good))


def test_a_split_without_any_entity_is_refused(tmp_path):
    tagged = sentence("a", ["Red", "eye"], ["O", "B-eye"])
    blind = sentence("b", ["No", "eye"], ["O", "O"])
    with pytest.raises(UserError, match=r"^split 'test': no entity in 1 sentences, so .* allowed:"):
        write_task(tmp_path, task("ner", NER, [tagged], [tagged], [blind]))
    assert list(tmp_path.iterdir()) == []


def test_overlap_counts_distinct_texts():
    splits = {"one": [pair("a"), pair("b")], "two": [pair("c"), pair("b", premise="Other.")]}
    shared = {"ids": 1, "groups": 1, "premises": 1, "hypotheses": 1, "pairs": 1}
    assert overlap("nli", splits) == {"one and two": shared}


def test_texts_that_are_shared_but_not_together_are_no_shared_pair():
    one = [pair("a"), pair("b", premise="Other.", hypothesis="Small")]
    shared = overlap("nli", {"one": one, "two": [pair("c", hypothesis="Small")]})["one and two"]
    assert shared == {"ids": 0, "groups": 1, "premises": 1, "hypotheses": 1, "pairs": 0}


def test_the_kind_of_something_else_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        task_kind(tmp_path / "none.parquet")
