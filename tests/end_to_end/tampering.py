"""Kinds of tampering with a finished study, and what an audit must find of each, and where.

A case works on a copy of the study in which files are linked: they are replaced, not written into.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from forking import run_program
from running import environment, read_config, write_config

from layerscope.core import lineage
from layerscope.core.files import by_folder, canonical_json
from layerscope.provenance.audit import Audit, audit, whole
from layerscope.provenance.present import Code
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import ENDING, self_digest

RESULTS = "results/miniature"
ENDINGS = ("svg", "pdf", "png")
FIGURE = f"{RESULTS}/figures/probes-hpo-nli.svg"
TABLE = f"{RESULTS}/tables/probes.parquet"
TUNED = f"{RESULTS}/finetuned/hpo-nli/bert-tiny"
WEIGHTS = f"{TUNED}/f50-s1/model.safetensors"
PROBE = f"{RESULTS}/probes/hpo-nli/bert-tiny/f50-s1/svm.parquet"
ACTIVATED = f"{RESULTS}/activations/hpo-nli/bert-tiny/random-s0/joint/test.parquet"
SAMPLE = f"{RESULTS}/samples/hpo-nli/f50-s1.parquet"
ANSWERS = PROBE.replace(".parquet", ".predictions.parquet")  # of the same job


class Copy(NamedTuple):
    """A study's folder to tamper with, the code that made it, and its configuration file."""

    workflow: Path
    folder: Path
    config: Path

    def audit(self, target: str) -> Audit:
        """Of a result, or of the whole study."""
        study = read_study(self.folder, "miniature")
        code = Code(self.workflow / "workflow" / "scripts", None)
        return whole(study, code) if target == RESULTS else audit(study, [target], code)

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        script = self.workflow / "workflow" / "scripts" / f"{program}.py"
        return run_program(script, *arguments, cwd=self.folder, environment=environment())

    def replace(self, path: str, content: bytes | str) -> None:
        file = self.folder / path
        new = file.with_name("new")
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        new.replace(file)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def record(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.read(path + ENDING))
        return found

    def edit(self, path: str, change: Callable[[dict[str, Any]], None], forge: int = 0) -> None:
        """Edit a record; forge its digest (1) and its lineage (2) as well."""
        record = self.record(path)
        change(record)
        if forge > 1:
            record["lineage"] = lineage.lineage(
                record["rule"], record["parameters"], record["code"]["digest"], record["inputs"]
            )
        if forge > 0:
            record["digest"] = self_digest(record)
        self.replace(path + ENDING, json.dumps(record))


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def table_byte(copy: Copy) -> None:
    copy.replace(TABLE, _flip(copy.read(TABLE)))


def figure_byte(copy: Copy) -> None:
    copy.replace(FIGURE, copy.read(FIGURE).replace(b"stroke: #", b"stroke: #0", 1))


def same_size_and_time(copy: Copy) -> None:
    """A digest that is trusted while a study runs is not trusted by an audit."""
    before = (copy.folder / PROBE).stat()
    copy.replace(PROBE, _flip(copy.read(PROBE)))
    os.utime(copy.folder / PROBE, ns=(before.st_atime_ns, before.st_mtime_ns))


def swapped_checkpoints(copy: Copy) -> None:
    one, two = copy.folder / TUNED / "f50-s1", copy.folder / TUNED / "f50-s2"
    one.rename(copy.folder / "away")
    two.rename(one)
    (copy.folder / "away").rename(two)


def weights(copy: Copy) -> None:
    copy.replace(WEIGHTS, _flip(copy.read(WEIGHTS)))


def fetched_model(copy: Copy) -> None:
    copy.replace(
        "resources/models/bert-tiny/vocab.txt",
        copy.read("resources/models/bert-tiny/vocab.txt") + b"x\n",
    )


def sample(copy: Copy) -> None:
    samples = f"{RESULTS}/samples/hpo-nli"
    copy.replace(f"{samples}/f50-s1.parquet", copy.read(f"{samples}/f50-s2.parquet"))


def prepared_data(copy: Copy) -> None:
    data = f"{RESULTS}/data/hpo-nli"
    copy.replace(f"{data}/test.parquet", copy.read(f"{data}/validation.parquet"))


def missing_activations(copy: Copy) -> None:
    (copy.folder / ACTIVATED).unlink()


def missing_table(copy: Copy) -> None:
    (copy.folder / TABLE).unlink()


def edited_result_config(copy: Copy) -> None:
    path = f"{RESULTS}/config.json"
    copy.replace(path, copy.read(path).replace(b'"data_seed": 7', b'"data_seed": 8'))


def edited_config(copy: Copy) -> None:
    config = read_config(copy.config)
    config["models"]["gpt-tiny"]["finetuning"] = {"nli": {"learning_rate": 0.25}}
    write_config(copy.config, config)


def config_gone(copy: Copy) -> None:
    copy.config.unlink()


def deleted_log(copy: Copy) -> None:
    (copy.folder / "logs/miniature/finetune/hpo-nli/bert-tiny/f50-s1.log").unlink()


def edited_log(copy: Copy) -> None:
    path = "logs/miniature/finetune/hpo-nli/bert-tiny/f50-s1.log"
    copy.replace(path, copy.read(path) + b"all is well\n")


def other_figure(copy: Copy) -> None:
    copy.replace(FIGURE, copy.read(FIGURE.replace("nli", "ner")))


def figure_without_origin(copy: Copy) -> None:
    copy.replace(FIGURE, re.sub(rb"layerscope:[0-9a-f]{64}", b"nothing", copy.read(FIGURE)))


def figure_of_another_study(copy: Copy) -> None:
    """The same table drawn in a study of another name, by its own job, put in place of ours."""
    other = FIGURE.replace("miniature", "other")
    job = {
        "rule": "figure_probes",
        "part": "figures.probes",
        "study": "other",
        "wildcards": {"task": "hpo-nli"},
        "inputs": by_folder([TABLE]),
        "outputs": [{"path": other, "temporary": False}],
        "packages": [],
        "log": "logs/other.log",
        "commit": None,
        "dirty": None,
    }
    ran = copy.run(
        "draw", "probes", "--task", "hpo-nli", "--tables", f"probes={TABLE}", "--out", other,
        "--record", canonical_json(job),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    copy.replace(FIGURE, copy.read(other))


def edited_record(copy: Copy) -> None:
    copy.edit(PROBE, lambda record: record["versions"].update(torch="1.0"))


def forged_digest(copy: Copy) -> None:
    copy.edit(f"{TUNED}/f50-s1", lambda record: record["parameters"].update(seed=9), forge=1)


def forged_lineage(copy: Copy) -> None:
    """What reads the result still knows what it came from."""
    copy.edit(f"{TUNED}/f50-s1", lambda record: record["parameters"].update(seed=9), forge=2)


def forged_figure_record(copy: Copy) -> None:
    """So does the figure, of which nothing is made."""
    copy.edit(FIGURE, lambda record: record["parameters"].update(task="hpo-ner"), forge=2)


def deleted_record(copy: Copy) -> None:
    (copy.folder / f"{PROBE}{ENDING}").unlink()


def no_record(copy: Copy) -> None:
    copy.replace(PROBE + ENDING, "not JSON")


def irregular_files(copy: Copy) -> None:
    """A record of another shape; FIFOs in place of a table and of weights; a device's name."""
    copy.edit(PROBE, lambda record: record.update(outputs=[["path"]]), forge=1)
    for path in (TABLE, WEIGHTS, ACTIVATED):
        (copy.folder / path).unlink()
    for path in (TABLE, WEIGHTS, f"{TUNED}/f50-s1/more.safetensors"):
        os.mkfifo(copy.folder / path)
    (copy.folder / ACTIVATED).symlink_to("/dev/zero")


def stray_files(copy: Copy) -> None:
    """A picture, a good record of another folder, hidden files, and a link to other figures."""
    copy.replace(f"{RESULTS}/figures/extra.svg", copy.read(FIGURE))
    copy.replace(f"{RESULTS}/figures/extra{ENDING}", copy.read(PROBE + ENDING))
    copy.replace(f"{TUNED}/f50-s1/.extra.bin", b"pickle")
    copy.replace(f"{RESULTS}/.extra", b"hidden")
    other = copy.folder.parent / "other"
    other.mkdir()
    (other / "foreign.svg").write_bytes(copy.read(FIGURE))
    (copy.folder / RESULTS / "more").symlink_to(other)


def forged_claims(copy: Copy) -> None:
    """Records edited and their digests forged, each in what something else knows."""
    copy.edit(TABLE, lambda record: record["versions"].update(pyarrow="1.0"), forge=1)
    copy.edit(PROBE, lambda record: record["outputs"][0].update(temporary=True), forge=1)
    copy.edit(SAMPLE, lambda record: record.update(seeds={"seed": 9}), forge=1)
    copy.edit(f"{RESULTS}/config.json", lambda record: record.update(configuration=None), forge=1)


def deleted_with_records(copy: Copy) -> None:
    """A figure of which nothing is made, in all its formats, with its record."""
    for ending in (*ENDINGS, f"svg{ENDING}"):
        (copy.folder / FIGURE).with_suffix(f".{ending}").unlink()


def copied_record(copy: Copy) -> None:
    """Records of two models' attention swapped."""
    one, two = (
        f"{RESULTS}/attention/hpo-nli/{model}/f50-s1.parquet{ENDING}"
        for model in ("bert-tiny", "gpt-tiny")
    )
    first, second = copy.read(one), copy.read(two)
    copy.replace(one, second)
    copy.replace(two, first)


def failed_job(copy: Copy) -> None:
    copy.edit(PROBE, lambda record: record.update(exit=1), forge=1)


def killed_job(copy: Copy) -> None:
    copy.edit(PROBE, lambda record: record.update(exit=None, ended=None), forge=1)


def orphan_in_a_model(copy: Copy) -> None:
    copy.replace(f"{TUNED}/f50-s1/pytorch_model.bin", b"pickle")


def made_by_hand(copy: Copy) -> None:
    """A program of the workflow, run by hand with another setting."""
    settings = copy.record(f"{RESULTS}/samples/hpo-nli/probe-validation.parquet")["parameters"]
    ran = copy.run(
        "sample_for_probes", "--data", settings["data"], "--kind", "nli", "--limit", "9",
        "--seed", "8", "--out", settings["out"],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def made_anew_alone(copy: Copy) -> None:
    """A part of the table made again, by its own job and the same, after the table."""

    def again(record: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        record["started"] = record["ended"] = now.isoformat(timespec="microseconds")
        for output in record["outputs"]:
            output["modified_ns"] = int(now.timestamp() * 1e9)

    copy.edit(f"{RESULTS}/parts/probes/hpo-nli/bert-tiny.parquet", again, forge=1)


def moved_study(copy: Copy) -> None:
    """Records of another study, whose folder was renamed to this one's name."""
    for path in (copy.folder / RESULTS).rglob(f"*{ENDING}"):
        name = str(path.relative_to(copy.folder)).removesuffix(ENDING)
        copy.edit(name, lambda record: record.update(study="another"), forge=1)


def _checkpoint(*variants: str) -> set[tuple[str, str]]:
    files = ("model.safetensors", "history.json")
    return {("changed", f"{TUNED}/{variant}/{file}") for variant in variants for file in files}


LOG = ("log", "logs/miniature/finetune/hpo-nli/bert-tiny/f50-s1.log")
ACTIVATIONS = f"{RESULTS}/activations/hpo-nli/bert-tiny"
SAMPLES = f"{RESULTS}/samples/hpo-nli"
#: What is done, what is audited, and what is found: kinds and paths, or, where what is done touches
#: much, kinds alone.
CASES: list[tuple[Callable[[Copy], None], str, set[tuple[str, str]] | set[str]]] = [
    (table_byte, FIGURE, {("changed", TABLE)}),
    (figure_byte, FIGURE, {("changed", FIGURE)}),
    (same_size_and_time, FIGURE, {("changed", PROBE)}),
    (swapped_checkpoints, FIGURE, _checkpoint("f50-s1", "f50-s2")),
    (weights, FIGURE, {("changed", WEIGHTS)}),
    (fetched_model, FIGURE, {("changed", "resources/models/bert-tiny/vocab.txt")}),
    (sample, FIGURE, {("changed", f"{SAMPLES}/f50-s1.parquet")}),
    (prepared_data, FIGURE, {("changed", f"{RESULTS}/data/hpo-nli/test.parquet")}),
    (missing_activations, FIGURE, {("missing", ACTIVATED)}),
    (missing_table, FIGURE, {("missing", TABLE)}),
    (edited_result_config, FIGURE, {("changed", f"{RESULTS}/config.json")}),
    (edited_config, FIGURE, {("settings", "../miniature.yaml")}),
    (config_gone, FIGURE, {("settings", "../miniature.yaml")}),
    (deleted_log, FIGURE, {LOG}),
    (edited_log, FIGURE, {LOG}),
    (other_figure, FIGURE, {("changed", FIGURE), ("figure", FIGURE)}),
    (figure_without_origin, FIGURE, {("changed", FIGURE), ("figure", FIGURE)}),
    (figure_of_another_study, FIGURE, {("changed", FIGURE), ("figure", FIGURE)}),
    (edited_record, FIGURE, {("record", PROBE + ENDING)}),
    (forged_digest, FIGURE, {("record", f"{TUNED}/f50-s1{ENDING}")}),
    (
        forged_lineage,
        FIGURE,
        {("input", f"{ACTIVATIONS}/{v}") for v in ("f50-s1", "f50-s2")}
        | {("input", f"{RESULTS}/parts/training/hpo-nli/bert-tiny.parquet")}
        | {("record", f"{TUNED}/f50-s1{ENDING}")},
    ),
    (forged_figure_record, FIGURE, {("figure", FIGURE), ("record", FIGURE + ENDING)}),
    (deleted_record, FIGURE, {("orphan", PROBE), ("orphan", ANSWERS)}),
    (no_record, FIGURE, {("orphan", PROBE), ("orphan", ANSWERS), ("record", PROBE + ENDING)}),
    (
        irregular_files,
        FIGURE,
        {("orphan", PROBE), ("orphan", ANSWERS), ("record", PROBE + ENDING)}
        | {("changed", path) for path in (TABLE, WEIGHTS, ACTIVATED)}
        | {("orphan", f"{TUNED}/f50-s1/more.safetensors")},
    ),
    (
        forged_claims,
        FIGURE,
        {("record", path + ENDING) for path in (TABLE, PROBE, SAMPLE, f"{RESULTS}/config.json")},
    ),
    (
        deleted_with_records,
        RESULTS,
        {("missing", FIGURE.replace("svg", ending)) for ending in ENDINGS},
    ),
    (copied_record, RESULTS, {"orphan", "record"}),
    (failed_job, FIGURE, {("failed", PROBE), ("failed", ANSWERS)}),
    (killed_job, FIGURE, {("failed", PROBE), ("failed", ANSWERS)}),
    (
        stray_files,
        RESULTS,
        {("record", f"{RESULTS}/figures/extra{ENDING}")}
        | {("orphan", f"{RESULTS}/{name}") for name in (".extra", "more", "figures/extra.svg")}
        | {("orphan", f"{TUNED}/f50-s1/.extra.bin")},
    ),
    (orphan_in_a_model, FIGURE, {("orphan", f"{TUNED}/f50-s1/pytorch_model.bin")}),
    (made_by_hand, FIGURE, {("changed", f"{SAMPLES}/probe-validation.parquet")}),
    (made_anew_alone, FIGURE, {("older", TABLE)}),
    (moved_study, FIGURE, {"record"}),
]
