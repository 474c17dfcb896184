"""What is derived from the ontology, against a reading of `hp.obo` that shares no code with it."""

import re
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest

from layerscope.core.errors import UserError
from layerscope.data import hpo_ner, hpo_nli
from layerscope.data.corpora import hpo_text
from layerscope.data.derive import derive_task
from layerscope.data.hpo import FAMILY_SIZE, SHARES, _families, _main_parent, assign_splits
from layerscope.data.iob import spans
from layerscope.data.ontology import ROOT, installed_file, provenance, read_ontology

pytestmark = pytest.mark.slow

SEEDS = [0, 7, 11]
END = r"(?<=[.!?])[)\]\"”]*(?:\s+|$)"


@pytest.fixture(scope="module")
def ontology():
    return read_ontology(installed_file())


@pytest.fixture(scope="module")
def splits(ontology):
    return {seed: assign_splits(ontology, seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def pairs(ontology, splits):
    return {seed: hpo_nli.make_pairs(ontology, splits[seed], seed) for seed in SEEDS}


@pytest.fixture(scope="module")
def sentences(ontology, splits):
    return hpo_ner.make_sentences(ontology, splits[7])


@pytest.fixture(scope="module")
def raw():
    """Stanzas that are not obsolete: id to (tag to values), read line by line."""
    stanzas = {}
    for block in installed_file().read_text(encoding="utf-8").split("\n\n"):
        if block.startswith("[Term]"):
            tags = defaultdict(list)
            for line in block.splitlines()[1:]:
                tag, _, value = line.partition(": ")
                tags[tag].append(value)
            if tags["is_obsolete"] != ["true"]:
                stanzas[tags["id"][0]] = tags
    return stanzas


@pytest.fixture(scope="module")
def above(raw):
    """A function from a term to all its ancestors and itself."""

    @cache
    def ancestors(id_):
        parents = [value.split(" ! ")[0].split(" {")[0] for value in raw[id_]["is_a"]]
        return frozenset([id_]).union(*(ancestors(parent) for parent in parents))

    return ancestors


def raw_text(value):
    """The quoted text of a `def:` or `synonym:` line, unescaped, white space single."""
    text = re.match(r'"((?:[^"\\]|\\.)*)"', value)[1]
    return " ".join(re.sub(r"\\(.)", r"\1", text.replace(r"\n", " ")).split())


def plain(text):
    return " ".join(re.sub(r"\W+", " ", text.casefold()).split())


# --- the ontology ------------------------------------------------------------------------------


def test_terms_are_those_below_the_root(ontology, raw, above):
    assert list(ontology.terms) == sorted(id_ for id_ in raw if ROOT in above(id_) - {id_})


def test_terms_say_what_the_file_says(ontology, raw, above):
    tops = {id_ for id_, tags in raw.items() if any(v.startswith(ROOT) for v in tags["is_a"])}
    for id_, term in ontology.terms.items():
        tags = raw[id_]
        assert term.name == " ".join(tags["name"][0].split())
        assert term.definition == (raw_text(tags["def"][0]) if tags["def"] else "")
        exact = {raw_text(v) for v in tags["synonym"] if re.search(r'" EXACT\b', v)}
        assert term.exact_synonyms == tuple(sorted(exact))
        assert set(term.branches) == above(id_) & tops
        parents = {v[:10] for v in tags["is_a"]}  # some are also below what is no phenotype
        assert set(term.parents) == parents & ontology.terms.keys()
        assert all(id_ in ontology.terms[child].parents for child in term.children)
    assert sum(len(t.children) for t in ontology.terms.values()) == sum(
        len(t.parents) for t in ontology.terms.values()
    )


def test_release_license_and_digest_are_recorded(ontology):
    head = installed_file().read_text(encoding="utf-8")[:5000]
    source = provenance(ontology)
    assert f"data-version: {source['release']}\n" in head
    assert f"terms:license {source['license']}\n" in head
    assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"])
    assert "Nucleic Acids Res" in source["citation"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("nothing of the kind", "not an OBO file"),
        ("format-version: 1.2\n\n[Term]\nid: X:1\nname: a\n", "no terms below HP:0000118"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "other.obo"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_ontology(path)


# --- splits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_splits_have_their_shares(ontology, splits, seed):
    assert list(splits[seed]) == list(ontology.terms)
    counts = Counter(splits[seed].values())
    for split, share in SHARES.items():
        assert counts[split] / len(ontology.terms) == pytest.approx(share, abs=0.02)


def test_families_are_connected_and_small(ontology):
    main = {id_: _main_parent(term, ontology.terms) for id_, term in ontology.terms.items()}
    heads = _families(main)
    assert set(heads) == set(ontology.terms)
    assert max(Counter(heads.values()).values()) <= FAMILY_SIZE
    for id_, head in heads.items():
        assert id_ == head or heads[main[id_]] == head


def test_parents_and_children_mostly_stay_together(ontology, splits):
    edges = [(p, t.id) for t in ontology.terms.values() for p in t.parents]
    together = np.mean([splits[7][parent] == splits[7][child] for parent, child in edges])
    at_random = sum(share**2 for share in SHARES.values())
    assert together > 0.8 > 1.3 * at_random


def test_splits_depend_on_the_seed_alone(ontology, splits):
    assert assign_splits(ontology, 7) == splits[7]
    assert splits[7] != splits[11]


# --- inference ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_are_what_the_hierarchy_says(raw, above, pairs, seed):
    by_text = defaultdict(set)
    for id_, tags in raw.items():
        if tags["def"]:
            by_text[raw_text(tags["def"][0])].add(id_)
    names = {tags["name"][0]: id_ for id_, tags in raw.items()}
    tops = {id_ for id_, tags in raw.items() if any(v.startswith(ROOT) for v in tags["is_a"])}
    parents = {id_: {v[:10] for v in tags["is_a"]} for id_, tags in raw.items()}
    for rows in pairs[seed].values():
        for row in rows:
            term = names[row["hypothesis"]]
            premises = by_text[row["premise"]]
            assert row["group_id"] == term
            assert row["example_id"] == f"{term}-{row['label']}"
            if row["label"] == "entailment":
                assert any(term in parents[premise] for premise in premises)
            elif row["label"] == "neutral":
                assert premises & parents[term]
            else:
                assert any(not above(p) & above(term) & tops for p in premises)


@pytest.mark.parametrize("seed", SEEDS)
def test_each_hypothesis_has_each_label_once(pairs, seed):
    total = 0
    for rows in pairs[seed].values():
        labels = defaultdict(list)
        for row in rows:
            labels[row["group_id"]].append(row["label"])
        assert all(tuple(found) == hpo_nli.LABELS for found in labels.values())
        total += len(labels)
    assert total > 4000


@pytest.mark.parametrize("seed", SEEDS)
def test_no_definition_and_no_hypothesis_is_in_two_splits(pairs, seed):
    for column in ("premise", "hypothesis"):
        texts = [{plain(row[column]) for row in rows} for rows in pairs[seed].values()]
        assert sum(map(len, texts)) == len(set().union(*texts))


def test_pairs_depend_on_the_seed_alone(ontology, splits, pairs):
    assert hpo_nli.make_pairs(ontology, splits[7], 7) == pairs[7]
    assert hpo_nli.make_pairs(ontology, splits[7], 8) != pairs[7]


def test_one_side_does_not_give_the_label_away(pairs):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    train, test = pairs[7]["train"][:4500], pairs[7]["test"]
    truth = np.array([row["label"] for row in test])

    def guess(column):
        vectors = TfidfVectorizer()
        model = LogisticRegression(max_iter=100)
        model.fit(vectors.fit_transform([r[column] for r in train]), [r["label"] for r in train])
        return model, model.predict_proba(vectors.transform([r[column] for r in test]))

    model, chances = guess("hypothesis")
    assert np.mean(model.classes_[chances.argmax(1)] == truth) == pytest.approx(1 / 3)
    model, chances = guess("premise")
    unrelated = chances[:, list(model.classes_).index("contradiction")]
    assert roc_auc_score(truth == "contradiction", unrelated) == pytest.approx(0.5, abs=0.06)
    # Specific premises entail more often: the known limit of the task, well below two thirds.
    assert 0.4 < np.mean(model.classes_[chances.argmax(1)] == truth) < 0.6


def test_limits_keep_whole_groups(ontology):
    limit = {"train": 100, "validation": None, "test": 30}
    task = derive_task(ontology, "hpo-nli", limit, 7)
    assert len(task.splits["train"]) == 99
    assert len(task.splits["test"]) == 30
    assert len(task.splits["validation"]) == task.facts["available"]["validation"]
    assert set(Counter(row["group_id"] for row in task.splits["train"]).values()) == {3}
    assert len({row["group_id"][:6] for row in task.splits["train"]}) > 1  # from all over


# --- entities ----------------------------------------------------------------------------------


def test_entities_are_names_of_a_term_of_their_type(ontology, sentences):
    forms = defaultdict(set)
    for term in ontology.terms.values():
        for name in (term.name, *term.exact_synonyms):
            forms[re.sub(r"\s", "", name).casefold()].update(term.branches)
    found = 0
    for rows in sentences.values():
        for row in rows:
            for start, end, kind in spans(row["tags"]):
                branches = forms["".join(row["tokens"][start:end]).casefold()]
                types = {hpo_ner.TYPE_OF_BRANCH.get(branch) for branch in branches} - {None}
                assert kind == min(types, key=hpo_ner.PRECEDENCE.index)
                found += 1
    assert found > 5000


def test_all_types_are_in_all_splits(sentences):
    for rows in sentences.values():
        kinds = {kind for row in rows for _, _, kind in spans(row["tags"])}
        assert kinds == set(hpo_ner.TYPE_OF_BRANCH.values())
        assert all(set(row["tags"]) - {"O"} for row in rows)


def test_sentences_come_from_their_term_and_its_split(ontology, splits, sentences):
    ids = [row["example_id"] for rows in sentences.values() for row in rows]
    assert len(ids) == len(set(ids))
    for split, rows in sentences.items():
        for row in rows:
            term = ontology.terms[row["group_id"]]
            text = re.sub(r"\s", "", term.definition + term.comment)
            assert splits[7][term.id] == split
            assert "".join(row["tokens"]) in text


def test_no_sentence_stands_twice(sentences):
    texts = [plain(" ".join(row["tokens"])) for rows in sentences.values() for row in rows]
    assert len(texts) == len(set(texts)) > 4000


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["A", "Focal", "Seizure", "occurs"], "O B-nervous I-nervous O"),
        (["Seizure", "of", "the", "eye", "Seizure"], "B-nervous O O O B-nervous"),
        (["ODD", "is", "no", "odd", "thing"], "B-nervous O O O O"),
        (["a", "focal", "thing"], "O O O"),
    ],
)
def test_projection_takes_the_longest_name(tokens, expected):
    names = {("seizure",): ["nervous"], ("focal", "seizure"): ["nervous"], ("ODD",): ["nervous"]}
    assert " ".join(hpo_ner.project(tokens, names, hpo_ner.longest_names(names))) == expected


def test_a_name_of_several_types_has_them_in_order_of_precedence(ontology):
    names = hpo_ner.entity_names(ontology)
    assert names[("hemangioma",)] == ["neoplasm", "cardiovascular"]
    assert names[("spasticity",)][0] == "nervous"
    several = sum(len(types) > 1 for types in names.values())
    assert 0 < several < 0.1 * len(names)


# --- corpus ------------------------------------------------------------------------------------


def test_the_corpus_has_no_text_that_is_tested_on(ontology, splits, pairs, sentences):
    corpus = hpo_text(ontology, splits[7], None, 7)
    trained = {id_ for id_, _ in corpus.train}
    assert trained <= {id_ for id_, split in splits[7].items() if split == "train"}
    text = "".join(marked(text) for _, text in corpus.train)
    for split in ("validation", "test"):
        assert not [row for row in pairs[7][split] if marked(row["premise"]) in text]
        tested = (" ".join(row["tokens"]) for row in sentences[split])
        assert not [sentence for sentence in tested if marked(sentence) in text]
    inside = [marked(row["premise"]) in text for row in pairs[7]["train"][:300]]
    assert np.mean(inside) > 0.9  # the same search does find what is there


def marked(text):
    """The words of a text with a bar wherever a sentence may begin or end."""
    return f"|{'|'.join(map(plain, re.split(END, text)))}|".replace("||", "|")


def test_the_held_out_part_is_of_validation_terms(ontology, splits):
    corpus = hpo_text(ontology, splits[7], None, 7)
    assert {splits[7][id_] for id_, _ in corpus.heldout} == {"validation"}
    text = "".join(marked(text) for _, text in corpus.train)
    assert not [id_ for id_, heldout in corpus.heldout if marked(heldout) in text]


def test_a_cap_takes_terms_from_all_over(ontology, splits):
    whole = hpo_text(ontology, splits[7], None, 7)
    capped = hpo_text(ontology, splits[7], 20000, 7)
    words = sum(len(text.split()) for _, text in capped.train)
    assert 19000 < words <= 20000
    assert set(capped.train) < set(whole.train)
    assert capped.heldout == whole.heldout
    places = [whole.train.index(document) for document in capped.train]
    assert np.mean(places) == pytest.approx(len(whole.train) / 2, rel=0.2)
    assert capped == hpo_text(ontology, splits[7], 20000, 7)
    assert capped.train != hpo_text(ontology, splits[7], 20000, 8).train
