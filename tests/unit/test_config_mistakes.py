"""Every mistake in a configuration gives one line: the key, its value, and what is allowed."""

from __future__ import annotations

import copy
import math
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from layerscope.config.load import read_yaml, validate
from layerscope.core.errors import UserError

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "config" / "config.yaml"
GONE = object()  # as a value: the key is taken out


class Mistake(NamedTuple):
    """A value set at a place, and what the line must name.

    A place is a dotted path, with list indices as keys; `key` is where the line should point if
    that is not the place itself.
    """

    place: str
    value: Any
    found: str  # how the line shows the value
    allowed: str
    key: str = ""


NAME = "lower-case letters and digits, joined by single hyphens"
SCRATCH = "models.gpt-mini.source"
FILES = {
    "kind": "files",
    "format": "csv",
    "files": {"train": "a", "validation": "b", "test": "c"},
}
TEXTS = {"kind": "classification", "source": FILES, "probes": ["linear"]}
CONTINUED = "models.minilm-hpo.source"

MISTAKES = [
    # unknown keys, at the top and deep down
    Mistake("modles", {}, "{}", "allowed: study, protocol, data_seed, tasks"),
    Mistake("models.minilm.sorce", 1, "1", "did you mean 'source'?"),
    Mistake("models.minilm.source.pakage", "x", "'x'", "allowed: kind, package, folder"),
    Mistake("models.minilm.source.corpus", "hpo", "'hpo'", "allowed: kind, package, folder"),
    Mistake(f"{CONTINUED}.training.step", 60, "60", "did you mean 'steps'?"),
    Mistake(f"{SCRATCH}.shape.layer", 4, "4", "allowed: layers, width, heads, vocabulary"),
    Mistake("models.minilm.finetuning", {"nli": {"epoch": 3}}, "3", "did you mean 'epochs'?",
            "models.minilm.finetuning.nli.epoch"),
    Mistake("models.minilm.finetuning", {"nlu": {}}, "{}", "allowed: nli, classification, ner",
            "models.minilm.finetuning.nlu"),
    Mistake("tasks.hpo-nli.limit.trian", 3, "3", "did you mean 'train'?"),
    Mistake("tasks.hpo-nli.nli", 3, "3", "allowed: kind, source, limit, probes"),
    Mistake("probes.linear.hidden", 64, "64", "allowed: kind, inverse_regularisation"),
    Mistake("probes.svm.max_iterations", 64, "64", "allowed: kind, inverse_regularisation"),
    Mistake("models.minilm.adapter", {"kind": "dora"}, "'dora'", "allowed: 'lora'",
            "models.minilm.adapter.kind"),
    Mistake("models.minilm.adapter", {"kind": "lora", "rank": 0}, "0", "a whole number, 1 or more",
            "models.minilm.adapter.rank"),
    Mistake("models.minilm.adapter", {"kind": "lora", "targets": []}, "[]", "'all-linear' or a ",
            "models.minilm.adapter.targets"),
    Mistake("models.minilm-hpo.adapter", {"kind": "lora"}, "'lora' on a model that the study",
            "allowed: null, or a source of kind 'package', 'folder' or 'hub'"),
    Mistake("models.minilm.dtype", "bfloat16", "'bfloat16' without an adapter",
            "allowed: 'float32', or an adapter"),
    Mistake("models.minilm.gpus", 0, "0", "a whole number from 1 to 8"),
    Mistake("models.minilm.gpus", 9, "9", "a whole number from 1 to 8"),
    Mistake("models.minilm-hpo.gpus", 2, "2 of a model that the study pre-trains", "allowed: 1"),
    Mistake("models.minilm", {"architecture": "encoder", "domain": "general", "gpus": 2,
            "source": {"kind": "folder", "path": "m"}, "adapter": {"kind": "lora"},
            "quantisation": "4bit"}, "2 with quantisation '4bit'", "allowed: 1",
            "models.minilm.gpus"),
    Mistake("models.minilm.quantisation", "4bit", "'4bit' without an adapter",
            "allowed: null, or an adapter"),
    Mistake("corpora.hpo.source.packages", ["numpy"], "['numpy']", "allowed: kind"),
    # names that nothing has
    Mistake(f"{CONTINUED}.base", "minlm", "'minlm'", "did you mean 'minilm'?"),
    Mistake(f"{CONTINUED}.corpus", "hpp", "'hpp'", "allowed: hpo, technical; did you mean 'hpo'?"),
    Mistake("tasks.hpo-nli.probes.0", "smv", "'smv'", "did you mean 'svm'?"),
    Mistake("corpora", {}, "'hpo'", "none is defined", f"{CONTINUED}.corpus"),
    # choices
    Mistake("models.minilm.architecture", "enc", "'enc'", "'encoder' or 'decoder'"),
    Mistake("models.minilm.source.kind", "zoo", "'zoo'", "'package' or 'folder' or 'hub'"),
    Mistake("models.minilm.source.kind", GONE, "is missing", "'package' or 'folder'"),
    Mistake("models.minilm.source.kind", ["package"], "['package']", "'package' or 'folder'"),
    Mistake("probes.linear.kind", "lin", "'lin'", "'linear' or 'svm' or 'bilstm-crf'"),
    Mistake("probes.linear.kind", 3, "3", "'linear' or 'svm' or 'bilstm-crf'"),
    Mistake("corpora.technical.source.kind", "docs", "'docs'", "'hpo-text' or 'package-docs'"),
    Mistake("tasks.hpo-nli.source.kind", "hpo", "'hpo'", "'hpo-nli' or 'hpo-ner'"),
    Mistake("tasks.hpo-nli.kind", "nil", "'nil'", "'nli' or 'classification' or 'ner'"),
    Mistake("activations.dtype", "float64", "'float64'", "'float16' or 'float32'"),
    Mistake("finetuning.nli.precision", "float16", "'float16'", "'float32' or 'bfloat16'"),
    Mistake("activations.layers", "some", "'some'", "'all' or a mapping with every or a list of"),
    Mistake("activations.layers", 4, "4", "'all' or a mapping with every or a list of"),
    Mistake("activations.layers", [], "[] is empty", "a list of one or more, each a whole number"),
    Mistake("activations.layers", [0, -1], "-1", "a whole number, 0 or more",
            "activations.layers[1]"),
    Mistake("activations.layers", [3, 3], "3", "each value once", "activations.layers[1]"),
    Mistake("activations.layers", {"every": 0}, "0", "a whole number, 1 or more",
            "activations.layers.every"),
    Mistake("activations.layers", {"every": 4, "each": 2}, "2", "allowed: every",
            "activations.layers.each"),
    # numbers out of range
    Mistake("variants.percentages.1", 130, "130", "a whole number from 0 to 100"),
    Mistake("variants.percentages.1", -1, "-1", "a whole number from 0 to 100"),
    Mistake("variants.seeds.0", -1, "-1", "a whole number from 0 to 2147483647"),
    Mistake("data_seed", 2**31, "2147483648", "a whole number from 0 to 2147483647"),
    Mistake("finetuning.nli", {"learning_rate": 0.0}, "0.0", "a number, above 0",
            "finetuning.nli.learning_rate"),
    Mistake("finetuning.nli", 3, "3", "a mapping with learning_rate"),
    Mistake("finetuning.nli.epochs", 0, "0", "a whole number, 1 or more"),
    Mistake("finetuning.nli.warmup_ratio", 1.5, "1.5", "a number, 0 or more and below 1"),
    Mistake("finetuning.ner.max_length", 8, "8", "a whole number from 16 to 8192"),
    Mistake("models.minilm.finetuning", {"ner": {"epochs": 0}}, "0", "1 or more, or null",
            "models.minilm.finetuning.ner.epochs"),
    Mistake("interventions", 5, "5",
            "a mapping with head_shares, random_draws, examples, seed, or null"),
    Mistake("interventions.head_shares", [], "[]", "a list of one or more"),
    Mistake("analyses", {"similarities": False}, "false", "did you mean 'similarity'?",
            "analyses.similarities"),
    Mistake("analyses", {"heads": "no"}, "'no'", "true or false", "analyses.heads"),
    Mistake("interventions.head_shares.0", 0, "0", "a whole number from 1 to 100"),
    Mistake("interventions.random_draws", 0, "0", "a whole number, 1 or more"),
    Mistake("statistics.resamples", 10, "10", "a whole number from 100 to 100000"),
    Mistake("statistics.confidence", 95, "95", "above 0.5 and below 1"),
    Mistake("probes.bilstm-crf.hidden", 65, "65", "a multiple of 2"),
    Mistake("tasks.hpo-nli.limit.train", 0, "0", "1 or more, or null"),
    # not finite
    Mistake("finetuning.nli.learning_rate", math.nan, "nan", "finite"),
    Mistake("finetuning.nli.learning_rate", math.inf, "inf", "finite"),
    Mistake(f"{CONTINUED}.training.weight_decay", math.inf, "inf", "finite"),
    # wrong types
    Mistake("finetuning.nli.learning_rate", "5e-5", "'5e-5'", "write 5.0e-5"),
    Mistake("finetuning.nli.epochs", True, "true", "a whole number"),
    Mistake("finetuning.nli.epochs", 2.0, "2.0", "a whole number"),
    Mistake("finetuning.nli.batch_size", "16", "'16'", "a whole number"),
    Mistake("variants.percentages.1", 10.5, "10.5", "a whole number from 0 to 100"),
    Mistake("variants.percentages", 10, "10", "a list"),
    Mistake("tasks.hpo-nli.probes", "svm", "'svm'", "a list"),
    Mistake("tasks.hpo-nli.probes.0", 3, "3", NAME),
    Mistake("models.minilm.source.package", 3, "3", "text"),
    Mistake("models.minilm.source", "minilm", "'minilm'", "a mapping with 'kind' 'package'"),
    Mistake("tasks", ["hpo-nli"], "['hpo-nli']", "a mapping"),
    Mistake("tasks", None, "null", "a mapping"),
    Mistake("attention", 48, "48", "a mapping with examples"),
    Mistake("attention.examples", None, "null", "a whole number, 1 or more"),
    Mistake("study", 3, "3", NAME),
    # names
    Mistake("study", "My Study", "'My Study'", NAME),
    Mistake("study", "", "''", NAME),
    Mistake("study", "x" * 41, "'xxxx", "at most 40"),
    Mistake("study", "a\nb", "'a\\nb'", NAME),
    Mistake("models.Bad Name", {"architecture": "encoder", "domain": "general",
            "source": {"kind": "package", "package": "p", "folder": "f"}}, "'Bad Name'", NAME),
    Mistake("probes.x_y", {"kind": "linear"}, "'x_y'", NAME),
    Mistake("models.minilm.domain", "Law Texts", "'Law Texts'", NAME),
    # missing
    Mistake("attention", GONE, "is missing", "a mapping with examples"),
    Mistake("study", GONE, "is missing", NAME),
    Mistake("models.minilm.source.package", GONE, "is missing", "text"),
    Mistake(f"{SCRATCH}.shape.heads", GONE, "is missing", "a whole number, 1 or more"),
    Mistake(f"{CONTINUED}.training.steps", GONE, "is missing", "a whole number, 1 or more"),
    # empty
    Mistake("tasks", {}, "{}", "one or more entries"),
    Mistake("models", {}, "{}", "one or more entries"),
    Mistake("probes", {}, "{}", "one or more entries"),
    Mistake("tasks.hpo-nli.probes", [], "[]", "a list of one or more"),
    Mistake("variants.percentages", [], "[]", "a list of one or more"),
    Mistake("variants.seeds", [], "[]", "a list of one or more"),
    Mistake("probes.bilstm-crf.seeds", [], "[]", "a list of one or more"),
    Mistake("corpora.technical.source.packages", [], "[]", "a list of one or more"),
    # twice
    Mistake("variants.percentages.2", 30, "30", "each value once"),
    Mistake("variants.seeds.1", 1, "1", "each value once"),
    Mistake("probes.bilstm-crf.seeds", [4, 4], "4", "each value once",
            "probes.bilstm-crf.seeds[1]"),
    Mistake("tasks.hpo-nli.views.1", "separate", "'separate'", "each value once"),
    Mistake("tasks.hpo-nli.probes.1", "svm", "'svm'", "each value once"),
    # values that do not fit one another
    Mistake("variants.percentages", [10, 100], "[10, 100]", "0 (the pre-trained model"),
    Mistake("variants.percentages", [0], "[0]", "one or more from 1 to 100"),
    Mistake("tasks.hpo-nli.probes.0", "bilstm-crf", "'bilstm-crf'", "allowed: linear, svm"),
    Mistake("tasks.hpo-ner.probes.0", "svm", "'svm'", "allowed: linear, bilstm-crf"),
    Mistake("tasks.hpo-ner.views", ["joint"], "'joint'", "word, word-last",
            "tasks.hpo-ner.views[0]"),
    Mistake("tasks.hpo-ner.views", [], "[]", "one or more of word, word-last"),
    Mistake("tasks.hpo-nli.views", GONE, "is missing", "one or more of separate, joint"),
    Mistake("tasks.hpo-nli.views", [], "[]", "one or more of separate, joint"),
    Mistake("tasks.hpo-nli.views.0", "both", "'both'", "'separate' or 'joint'"),
    Mistake("tasks.hpo-nli.views.0", "word", "'word'", "joint, separate-last, joint-last"),
    Mistake("tasks.hpo-nli.source.kind", "hpo-ner", "'nli'", "'ner'", "tasks.hpo-nli.kind"),
    Mistake("models.gpt-mini.architecture", "encoder", "'encoder'", "'decoder'"),
    Mistake("models.minilm-hpo.architecture", "decoder", "'decoder'", "'encoder'"),
    Mistake(f"{SCRATCH}.shape.heads", 5, "5", "a divisor of the width"),
    Mistake(f"{SCRATCH}.training.sequence_length", 512, "512", "16 to 256"),
    Mistake(f"{CONTINUED}.base", "minilm-hpo", "'minilm-hpo'", "not made from this one"),
    Mistake("protocol", "paper", "'paper'", "'recommended' or 'published'"),
    Mistake("probes.linear.row_draws", 1, "1", "0, or 2 or more"),
    Mistake("tasks.hpo-ner.reserved", 10, "10, but probe_rows has no 'reserved'", "to be left out"),
    Mistake("tasks.hpo-ner.reserved", 51, "51", "1 to 50"),
    Mistake("tasks.hpo-ner.tag_scheme", "iob1", "'iob1'", "'iob2' or 'merged', or null"),
    Mistake("tasks.hpo-nli.tag_scheme", "merged", "'merged'", "to be left out"),
    Mistake("finetuning.nli.schedule", "cosine", "'cosine'", "'linear' or 'constant'"),
    # files and hubs
    Mistake("models.minilm.source", {"kind": "hub", "repository": "bert", "revision": "0" * 40},
            "'bert'", "owner/name", "models.minilm.source.repository"),
    Mistake("models.minilm.source", {"kind": "hub", "repository": "a/b", "revision": "main"},
            "'main'", "a full commit, 40 hexadecimal digits", "models.minilm.source.revision"),
    Mistake("models.minilm.source", {"kind": "hub", "repository": "a/b", "revision": "0" * 40,
            "sha256": {"config.json": "12"}}, "'12'", "64 hexadecimal digits",
            "models.minilm.source.sha256.config.json"),
    Mistake("tasks.hpo-nli.source", {**FILES, "format": "conll"}, "'conll'", "'jsonl', 'csv'",
            "tasks.hpo-nli.source.format"),
    Mistake("tasks.hpo-nli.source", {**FILES, "columns": {"text": "a"}}, "unknown column",
            "premise, hypothesis, label", "tasks.hpo-nli.source.columns.text"),
    Mistake("tasks.hpo-nli", TEXTS | {"source": {**FILES, "columns": {"premise": "a"}}},
            "unknown column of kind 'classification'", "text, label, example_id, group_id",
            "tasks.hpo-nli.source.columns.premise"),
    Mistake("tasks.hpo-nli", TEXTS | {"source": {**FILES, "format": "conll"}}, "'conll'",
            "'jsonl', 'csv'", "tasks.hpo-nli.source.format"),
    Mistake("tasks.hpo-nli", TEXTS | {"views": ["joint"]}, "'joint' for kind 'classification'",
            "text, text-last", "tasks.hpo-nli.views[0]"),
    Mistake("tasks.hpo-nli", TEXTS | {"probes": ["bilstm-crf"]}, "'bilstm-crf' does not fit",
            "allowed: linear, svm", "tasks.hpo-nli.probes[0]"),
    Mistake("tasks.hpo-nli", TEXTS | {"tag_scheme": "iob2"}, "'iob2' for kind 'classification'",
            "to be left out", "tasks.hpo-nli.tag_scheme"),
    Mistake("tasks.hpo-nli.kind", "classification", "'classification' does not fit", "'nli'"),
    Mistake("tasks.hpo-nli.source", {**FILES, "sha256": {"d": "0" * 64}}, "no file of this source",
            "a, b, c", "tasks.hpo-nli.source.sha256.d"),
    Mistake("tasks.hpo-nli.source", {**FILES, "format": "xlsx"}, "'xlsx'", "'jsonl' or 'csv'",
            "tasks.hpo-nli.source.format"),
    Mistake("tasks.hpo-nli.source", {**FILES, "labels": {"x": " yes "}}, "' yes '",
            "without white space", "tasks.hpo-nli.source.labels.x"),
    Mistake("tasks.hpo-ner.source", {**FILES, "labels": {"1": "B-cell", "2": "I-cel"}}, "'I-cel'",
            "allowed: cell", "tasks.hpo-ner.source.labels.2"),
    Mistake("protocol", ["published"], "['published']", "'recommended' or 'published'"),
    Mistake("references", "a{b}.csv", "'a{b}.csv'", "a path without braces"),
    Mistake("tasks.hpo-nli.source", {**FILES, "folder": "a{b}"}, "'a{b}'; Snakemake takes text",
            "a path without braces", "tasks.hpo-nli.source.folder"),
    # what no file can have, wherever a path is given
    Mistake("models.minilm.source", {"kind": "folder", "path": "~nosuchuser/m"}, "no such user",
            "a valid path", "models.minilm.source.path"),
    Mistake("models.minilm.source.folder", "a\0b", "null byte", "a valid path"),
    Mistake("references", "p/" * 2500, "5000 characters", "a valid path"),
    Mistake("corpora.hpo.source", {"kind": "files", "train": "x" * 300, "heldout": "h"},
            "300 characters", "a valid path", "corpora.hpo.source.train"),
    Mistake("tasks.hpo-nli.source", {**FILES, "folder": "\ud83d"}, "surrogates not allowed",
            "a valid path", "tasks.hpo-nli.source.folder"),
    # what only YAML has
    Mistake("study", date(2020, 1, 1), "2020-01-01, which YAML takes for a date", NAME),
    Mistake("data_seed", 16**9000, "a number of thousands of digits", "a whole number from 0"),
]  # fmt: skip


def demo() -> dict[str, Any]:
    """The demo configuration, without parts that two entries share (YAML anchors)."""
    config = read_yaml(DEMO)
    models = config["models"]
    models["gpt-mini"] = copy.deepcopy(models["gpt-mini"])
    return config


def with_mistake(mistake: Mistake) -> dict[str, Any]:
    config = demo()
    *way, last = mistake.place.split(".")
    here: Any = config
    for key in way:
        here = here[key]
    if mistake.value is GONE:
        del here[last]
    elif isinstance(here, list):
        here[int(last)] = mistake.value
    else:
        here[last] = mistake.value
    return config


def expected_key(mistake: Mistake) -> str:
    if mistake.key:
        return mistake.key
    *way, last = mistake.place.split(".")
    return ".".join(way) + f"[{last}]" if last.isdigit() else mistake.place


def mistake_lines(config: dict[str, Any]) -> list[str]:
    with pytest.raises(UserError) as caught:
        validate(config)
    return str(caught.value).splitlines()


def test_without_a_mistake_the_configuration_is_valid() -> None:
    assert validate(demo()).study == "demo"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.place}={m.found[:20]}")
def test_one_line_names_key_value_and_what_is_allowed(mistake: Mistake) -> None:
    lines = mistake_lines(with_mistake(mistake))
    assert len(lines) == 1, lines
    key, _, rest = lines[0].partition(": ")
    assert key == expected_key(mistake)
    value, separator, allowed = rest.partition("; allowed: ")
    assert separator, rest
    assert mistake.found in value
    assert mistake.allowed.removeprefix("allowed: ") in allowed


def test_a_circle_in_pretraining_is_named() -> None:
    config = demo()
    source = config["models"]["minilm-hpo"]["source"]
    for name, base in (("first", "second"), ("second", "third"), ("third", "first")):
        config["models"][name] = {
            "architecture": "encoder",
            "domain": "general",
            "source": {**source, "base": base},
        }
    (line,) = mistake_lines(config)
    assert line.startswith("models.third.source.base: 'first' is circular")
    assert "first from second from third from first" in line
    assert "; allowed: a model that is not made from this one" in line


@pytest.mark.parametrize(
    ("model", "base", "line"),
    [
        ("minilm", "bert", "models.minilm.derived_from: 'bert' is not a model; "),
        ("minilm", "minilm", "models.minilm.derived_from: 'minilm' is circular"),
        ("minilm", "minilm-hpo", "models.minilm-hpo.source.base: 'minilm' is circular"),
        ("gpt-mini", "minilm", "models.gpt-mini.derived_from: 'minilm' for a model that the study"),
    ],
)
def test_a_model_can_be_derived_from_another_one_alone(model: str, base: str, line: str) -> None:
    config = demo()
    config["models"][model]["derived_from"] = base
    assert line in "\n".join(mistake_lines(config))


def test_a_name_that_yaml_reads_as_a_number() -> None:
    config = demo()
    config["probes"][3] = {"kind": "linear"}
    (line,) = mistake_lines(config)
    assert line.startswith("probes[3]: invalid name 3; allowed: text (in quotes)")


def test_each_of_several_mistakes_has_its_line() -> None:
    config = demo()
    config["variants"]["percentages"] = [0, 130]
    config["study"] = "My Study"
    lines = mistake_lines(config)
    assert [line.partition(":")[0] for line in lines] == ["study", "variants.percentages[1]"]


@pytest.mark.parametrize(
    ("entry", "value", "line"),
    [
        ("columns", {"label": 2.5}, "columns.label: 2.5; allowed: text or a whole number"),
        ("columns", {1: "a"}, "columns[1]: 1 is not text; allowed: text, in quotes"),
        ("labels", {0: "O"}, "labels[0]: 0 is not text; allowed: text, in quotes"),
        ("labels", {True: "O"}, "labels[1]: true is not text; allowed: text, in quotes"),  # yes: O
        ("labels", {"0": 1}, "labels.0: 1; allowed: text, or null"),
        (
            "format",
            "xml",
            "format: 'xml'; allowed: 'jsonl' or 'csv' or 'tsv' or 'conll' or 'parquet' or 'arrow'",
        ),
        (
            "files",
            {"train": 5, "validation": "b", "test": "c"},
            "files.train: 5; allowed: text or a list of one or more, each text",
        ),
        (
            "files",
            {"train": [], "validation": "b", "test": "c"},
            "files.train: [] is empty; allowed: text or a list of one or more, each text",
        ),
        ("sha256", {"d": "0" * 64}, "sha256.d: is no file of this source; allowed: a, b, c"),
        ("labels", {"1": "DNA"}, "labels.1: 'DNA'; allowed: O, or B- or I- and a type"),
    ],
)
def test_mistakes_in_files_of_ones_own(entry: str, value: Any, line: str) -> None:
    config = demo()
    files = {"train": "a", "validation": "b", "test": "c"}
    source = {"kind": "files", "files": files, "format": "jsonl", entry: value}
    config["tasks"]["hpo-ner"]["source"] = source
    assert mistake_lines(config) == [f"tasks.hpo-ner.source.{line}"]
