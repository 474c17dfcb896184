"""What a crate is not made of, what it leaves out, and what it says of what is gone.

Records of a finished study are changed one by one.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from crates import (
    METADATA,
    NAME,
    RESULTS,
    Entity,
    Record,
    contents,
    files_of,
    jobs_of,
    linked,
    make,
    refs,
    replace,
)
from running import Finished

from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.provenance.crate import export
from layerscope.provenance.studies import read_study
from layerscope.run_records.content import self_digest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("crate")]


class Copy(NamedTuple):
    """A finished study of which a test may replace files."""

    folder: Path
    targets: list[str]
    config: Path
    workflow: Path

    def export(self, **changes: Any) -> dict[str, Entity]:
        given = {
            "configuration": read_json(self.folder / RESULTS / "config.json"),
            "given": [self.config],
            "rules": {},
            "out": self.folder / "crate",
            "workflow": self.workflow,
        }
        export(read_study(self.folder, NAME), self.targets, **(given | changes))
        return {e["@id"]: e for e in read_json(self.folder / "crate" / METADATA)["@graph"]}

    def edit(self, output: str, change: Callable[[Record], None], whole: bool = True) -> None:
        """Change a record, and its own digest with it."""
        path = self.folder / f"{output}.run.json"
        record = read_json(path)
        change(record)
        replace(path, record | ({"digest": self_digest(record)} if whole else {}))


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Copy:
    (everything,) = (job for job in finished.everything if job.rule == "all")
    folder = linked(finished.folder, tmp_path / "run")
    return Copy(folder, list(everything.inputs), finished.config, finished.workflow)


SCORES = f"{RESULTS}/tables/scores.parquet"
PROBES = f"{RESULTS}/parts/probes/hpo-ner/bert-tiny.parquet"
ACTIVATIONS = f"{RESULTS}/activations/hpo-ner/bert-tiny/random-s0"
FIGURE = f"{RESULTS}/figures/scores.svg"


def failed(record: Record) -> None:
    record["exit"] = 1


def stopped(record: Record) -> None:
    record["exit"] = record["ended"] = None


def of_another_input(record: Record) -> None:
    record["inputs"][0]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("output", "change", "message"),
    [
        (PROBES, failed, "part_probes model=bert-tiny task=hpo-ner failed with exit code 1"),
        (PROBES, stopped, "part_probes model=bert-tiny task=hpo-ner did not end"),
        (FIGURE, of_another_input, f"{SCORES}: figure_scores read 000000000000, but it is now"),
    ],
)
def test_a_job_that_is_not_sound_is_named(
    output: str, change: Callable[[Record], None], message: str, copy: Copy
) -> None:
    copy.edit(output, change)
    with pytest.raises(UserError, match=re.escape(message)):
        copy.export()
    assert not (copy.folder / "crate").exists()


def test_an_edited_record_is_named(copy: Copy) -> None:
    copy.edit(PROBES, lambda record: record["seeds"].update(seed=3), whole=False)
    with pytest.raises(
        UserError, match="not what part_probes model=bert-tiny task=hpo-ner recorded"
    ):
        copy.export()


@pytest.mark.parametrize("removed", [FIGURE, PROBES, f"{RESULTS}/scores/hpo-nli/bert-tiny.json"])
def test_a_missing_record_is_named(removed: str, copy: Copy) -> None:
    (copy.folder / f"{removed}.run.json").unlink()
    with pytest.raises(UserError, match=f"{removed}: no "):
        copy.export()


def test_a_missing_output_is_named(copy: Copy) -> None:
    path = copy.folder / ACTIVATIONS / "word" / "test.parquet"
    path.unlink()
    with pytest.raises(UserError, match=f"{path}: missing, although a run record lists it"):
        copy.export()


def test_another_size_is_named(copy: Copy) -> None:
    path = copy.folder / SCORES
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"more")
    with pytest.raises(UserError, match=f"{path}: {len(content) + 4} bytes; allowed: "):
        copy.export()


def test_an_edited_figure_of_the_same_size_is_named(copy: Copy) -> None:
    path = copy.folder / FIGURE
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"accuracy", b"precison", 1).replace(b"<", b">", 1))
    assert path.stat().st_size == len(content)
    with pytest.raises(UserError, match=f"{path}: not what its run record says"):
        copy.export()


def test_another_configuration_is_named(copy: Copy) -> None:
    with pytest.raises(UserError, match=r"config\.json: not the configuration that is given"):
        copy.export(configuration={"study": NAME})


def test_a_temporary_output_that_is_gone_is_described(copy: Copy) -> None:
    output: dict[str, Any] = {}

    def gone(record: Record) -> None:
        (of_path,) = (entry for entry in record["outputs"] if entry["path"] == ACTIVATIONS)
        of_path["temporary"] = True
        output.update(of_path)

    copy.edit(ACTIVATIONS, gone)
    copy.edit(ACTIVATIONS.replace("activations", "attention") + ".parquet", gone)
    shutil.rmtree(copy.folder / ACTIVATIONS)
    graph = copy.export()
    entity = graph[f"#{ACTIVATIONS}/"]
    assert (entity["sha256"], entity["contentSize"]) == (output["sha256"], str(output["bytes"]))
    assert entity["description"] == "Removed once it was read."
    for file in output["files"]:
        assert graph[f"#{ACTIVATIONS}/{file['path']}"]["sha256"] == file["sha256"]


def test_what_an_earlier_configuration_left_is_no_part(copy: Copy) -> None:
    """Nor do its failures matter."""
    left = copy.folder / RESULTS / "scores/hpo-nli/gone.json"
    shutil.copyfile(left.with_name("bert-tiny.json"), left)

    def gone(record: Record) -> None:
        record["outputs"][0]["path"] = f"{RESULTS}/scores/hpo-nli/gone.json"
        record["wildcards"]["system"] = "gone"
        record["started"] = "2026-01-01T00:00:00.000000+00:00"
        record["exit"] = 1

    source = copy.folder / RESULTS / "scores/hpo-nli/bert-tiny.json.run.json"
    shutil.copyfile(source, left.with_name("gone.json.run.json"))
    copy.edit(f"{RESULTS}/scores/hpo-nli/gone.json", gone)
    graph = copy.export()
    assert not [own for own in graph if "gone" in own]


HOST, USER = "planted-host.example", "planted-user"
PLACES = (f"/home/{USER}/my data/train.csv", f"~{USER}/data/test.csv", f"../{USER}/models/bert")


def test_hosts_users_and_paths_stay_at_home(copy: Copy, tmp_path: Path) -> None:
    task = f"{RESULTS}/data/hpo-ner/train.parquet"

    def plant(record: Record) -> None:
        record["machine"]["host"] = HOST
        record["writer"] = f"{HOST}-17"
        record["slurm"] = {"job": "1", "node": HOST}
        record["parameters"]["folder"] = f"/home/{USER}/my data"
        record["parameters"]["settings"]["note"] = [f"see {PLACES[1]}, or {PLACES[2]}"]
        record["command"] += shlex.join(["", "--folder", PLACES[0], json.dumps([PLACES[0]])])
        record["inputs"] += [
            {"path": path, "bytes": 3, "sha256": f"{number}" * 64, "lineage": None}
            for number, path in enumerate(PLACES)
        ]

    copy.edit(task, plant)
    config = tmp_path / "study.yaml"
    config.write_text(f"study: {NAME}\n# of {PLACES[0]}\n", encoding="utf-8")
    graph = copy.export(given=[config])
    everything = b"".join(contents(copy.folder / "crate").values()).decode(errors="replace")
    for secret in (HOST, USER, str(tmp_path), str(copy.workflow)):
        assert secret not in everything
    assert not (copy.folder / "crate" / "configuration").exists()
    job = jobs_of(graph)["prepare_task task=hpo-ner"]
    own = {name for name in files_of(graph, job, "object") if not name.startswith("package")}
    assert own == {"train.csv", "test.csv", "bert"}
    values = {graph[own]["name"]: graph[own].get("value") for own in refs(job, "object")}
    assert values["folder"] == "my data"
    assert json.loads(values["settings"])["note"] == ["see test.csv, or bert"]


def test_a_study_that_never_ran_is_one_line(finished: Finished, tmp_path: Path) -> None:
    code, output = make(finished, tmp_path)
    assert code == 1
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert line == f"error: {RESULTS}: no such folder; allowed: one of results/: none"
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()
