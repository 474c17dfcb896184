"""The programs of the workflow: which modules each uses, and whom an edit of one reaches."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from layerscope.core import code

REAL = sorted(path.stem for path in code.SCRIPTS.glob("*.py"))


@pytest.mark.parametrize("program", REAL)
def test_every_program_has_a_digest(program: str) -> None:
    digest = code.code_digest(program)
    assert len(digest) == 16
    assert int(digest, 16) >= 0
    modules = code.code_modules(program)
    assert {program, "layerscope", "layerscope.runtime.program"} <= set(modules)


def test_digests_of_programs_differ() -> None:
    assert REAL
    assert len({code.code_digest(program) for program in REAL}) == len(REAL)


#: Files of workflow/scripts, and the programs of rules that an edit of it reaches.
REACH: dict[str, set[str]] = {
    "extract.py": {"extract"},
    "layerscope/extraction/attention.py": {"extract"},
    "layerscope/models/batching.py": {
        *("extract", "finetune", "intervene", "patch", "head_lens", "head_importance"),
        "representation_quality",
    },
    "layerscope/training/trainer.py": {"pretrain", "finetune"},
    "layerscope/training/checkpoints.py": {"pretrain", "finetune"},
    "layerscope/training/finetuning.py": {"finetune"},
    "layerscope/download/sources.py": {"fetch_model", "fetch_files"},
    "layerscope/data/hpo_ner.py": {"prepare_task"},
    "layerscope/data/rng.py": {
        "describe_task",
        "prepare_task",
        "prepare_corpus",
        "subsample",
        "sample_for_probes",
        "pretrain",
        "finetune",
        "intervene",
        "patch",
        "head_lens",
        "head_importance",
        "representation_quality",
    },
    "layerscope/analysis/probing/svm.py": {"probe"},
    "layerscope/analysis/probing/mlp.py": {"usable_information"},
    "layerscope/config/probes.py": {"probe", "usable_information"},
    "layerscope/config/schema.py": set(),
    "layerscope/config/jobs.py": set(),
    "layerscope/evaluation/baselines.py": {"baseline"},
}
#: They run no job of a study.
FOR_PEOPLE = {
    "audit", "check_submissions", "compare", "estimate", "explain", "export_crate", "fork_server",
    "pack_study", "remove_leftovers", "update_pictures",
    "write_schema",
}  # fmt: skip


def test_an_edit_reaches_the_programs_that_use_it_and_no_other() -> None:
    modules = {program: code.code_modules(program) for program in REAL}
    reached = {
        file: {
            program
            for program, used in modules.items()
            if file.removesuffix(".py").replace("/", ".") in used
        }
        - FOR_PEOPLE
        for file in REACH
    }
    assert reached == REACH


def test_files_of_a_page_count_for_what_draws_it_alone() -> None:
    assets = {
        path.relative_to(code.SCRIPTS).as_posix()
        for path in code.SCRIPTS.rglob("*")
        if path.suffix in code.ASSETS
    }
    assert {Path(asset).suffix for asset in assets} == code.ASSETS
    drawn = {"draw_explorer": "explorer", "describe_task": "data_report"}
    for program in REAL:
        found = assets & code.code_modules(program).keys()
        own = {asset for asset in assets if Path(asset).parent.name == drawn.get(program)}
        assert found == own, program
    assert {Path(asset).parent.name for asset in assets} == set(drawn.values())


def test_the_packages_that_all_import_hold_next_to_no_code() -> None:
    """An edit there, such as a new version, would rerun every job."""
    for name in ("", "config/", "core/", "run_records/", "runtime/"):
        path = code.SCRIPTS / "layerscope" / name / "__init__.py"
        _, *code_of = ast.parse(path.read_text(encoding="utf-8")).body
        # What a notebook calls is imported by name, and never edited.
        defined = {node.name for node in code_of if isinstance(node, ast.FunctionDef)}
        assert defined == ({"open_study"} if name == "" else set())
        assert all(isinstance(node, ast.ImportFrom | ast.FunctionDef) for node in code_of), name
    assert (
        set(code.code_modules("score")) & {"layerscope.interface", "layerscope.catalogue"} == set()
    )
