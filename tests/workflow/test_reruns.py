"""What a change makes run again, on the finished miniature: that, what is made from it, no more.

Nothing is computed here: each test is a dry run of an edited copy of the workflow, or of an edited
configuration, in the folder of the finished study. Copies lie in other folders and have new time
stamps throughout, so each test also holds that neither counts. test_rerun_cases.py has a table of
what users meet, in numbers of jobs; here is which jobs, and the rest.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import (
    Config,
    Finished,
    Job,
    Plan,
    copy_workflow,
    plan,
    read_config,
    with_downstream,
    write_config,
)

pytestmark = pytest.mark.xdist_group("reruns")

EXTRACTION = {"extract_base", "extract_finetuned"}
#: What puts together, and draws, what others computed.
TOGETHER = ("table_", "figure_", "explorer", "summary", "configuration", "all")
#: The same of one model, or of one task, before that.
PARTS = ("part_", "score", "compare_models")


def _of_rules(rules: set[str]) -> Callable[[Job], bool]:
    return lambda job: job.rule in rules


def _names(jobs: Plan) -> list[str]:
    return sorted(map(str, jobs))


# --- nothing changed -----------------------------------------------------------------------------


def test_every_file_touched_and_the_workflow_moved(finished: Finished, tmp_path: Path) -> None:
    copy = copy_workflow(tmp_path / "deeper" / "elsewhere", finished.workflow)
    oldest = min(path.stat().st_mtime for path in copy.rglob("*") if path.is_file())
    assert oldest > max(
        path.stat().st_mtime for path in finished.folder.rglob("results/*/tables/*")
    )
    assert _names(plan(copy, finished.folder, finished.config)) == []


class _OtherDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value += "\n\nAnother line."
        return node


def test_comments_docstrings_and_layout(finished: Finished, tmp_path: Path) -> None:
    """All of the code written anew, without a comment, in another layout, documented otherwise."""
    copy = copy_workflow(tmp_path / "copy", finished.workflow)
    for path in (copy / "workflow" / "scripts").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        edited = ast.unparse(_OtherDocstrings().visit(ast.parse(text)))
        assert edited != text
        path.write_text(f"# A comment.\n\n{edited}\n", encoding="utf-8")
    for path in [*copy.rglob("Snakefile"), *(copy / "workflow").rglob("*.smk")]:
        path.write_text(path.read_text(encoding="utf-8") + "\n# A comment.\n", encoding="utf-8")
    assert _names(plan(copy, finished.folder, finished.config)) == []


def test_memory_time_and_gpus(finished: Finished, tmp_path: Path) -> None:
    copy = copy_workflow(tmp_path / "copy", finished.workflow)
    for path in (copy / "workflow" / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        text, count = re.subn(r"(mem_mb|runtime|gpu)=\w+\(.*\),", r"\1=1,", text)
        assert count > 1 or "resources:" not in text
        path.write_text(text, encoding="utf-8")
    assert _names(plan(copy, finished.folder, finished.config)) == []


# --- code ----------------------------------------------------------------------------------------

#: Files of workflow/scripts, and the rules whose programs an edit of it reaches.
EDITS: dict[str, set[str]] = {
    "extract.py": EXTRACTION,
    "layerscope/extraction/attention.py": EXTRACTION,
    "layerscope/models/batching.py": EXTRACTION | {"finetune"},
    "layerscope/training/trainer.py": {"pretrain", "finetune"},
    "layerscope/training/checkpoints.py": {"pretrain", "finetune"},
    "layerscope/training/finetuning.py": {"finetune"},
    "layerscope/download/sources.py": {"fetch_model"},
    "layerscope/data/hpo_ner.py": {"prepare_task"},
    "layerscope/data/rng.py": {
        "prepare_task",
        "prepare_corpus",
        "subsample",
        "sample_for_probes",
        "pretrain",
        "finetune",
    },
    "layerscope/analysis/probing/svm.py": {"probe"},
    "layerscope/config/probes.py": {"probe"},
    "layerscope/evaluation/baselines.py": {"baseline"},
    "layerscope/figures/gain.py": {"figure_gain"},
}


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_reruns_what_uses_it(file: str, finished: Finished, tmp_path: Path) -> None:
    copy = copy_workflow(tmp_path / "copy", finished.workflow)
    with (copy / "workflow" / "scripts" / file).open("a", encoding="utf-8") as handle:
        handle.write("\n_EDITED = True\n")
    expected = with_downstream(finished.everything, _of_rules(EDITS[file]))
    assert _names(plan(copy, finished.folder, finished.config)) == _names(expected)


def test_an_edit_of_what_no_program_uses(finished: Finished, tmp_path: Path) -> None:
    """What reads the configuration and makes jobs of it: settings are compared, not this code."""
    copy = copy_workflow(tmp_path / "copy", finished.workflow)
    scripts = copy / "workflow" / "scripts"
    unused = ["config/schema.py", "config/jobs.py", "config/load.py", "config/mistakes.py"]
    for path in [scripts / "write_schema.py", *(scripts / "layerscope" / name for name in unused)]:
        path.write_text(path.read_text(encoding="utf-8") + "\n_EDITED = True\n", encoding="utf-8")
    assert _names(plan(copy, finished.folder, finished.config)) == []


def test_an_edit_of_a_rule_s_command(finished: Finished, tmp_path: Path) -> None:
    copy = copy_workflow(tmp_path / "copy", finished.workflow)
    rules = copy / "workflow" / "rules" / "train.smk"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(text.replace("--seed {wildcards.seed}", "--seed 1{wildcards.seed}"))
    assert rules.read_text() != text
    expected = with_downstream(finished.everything, _of_rules({"finetune"}))
    assert _names(plan(copy, finished.folder, finished.config)) == _names(expected)


# --- configuration -------------------------------------------------------------------------------


def _after(finished: Finished, tmp_path: Path, change: Callable[[Config], Any]) -> Plan:
    """What runs after a change of the configuration."""
    config = read_config(finished.config)
    change(config)
    file = write_config(tmp_path / "study.yaml", config)
    return plan(finished.workflow, finished.folder, file)


def _all_of(finished: Finished, tmp_path: Path, change: Callable[[Config], Any]) -> Plan:
    """All jobs of the changed study, as if none had run."""
    config = read_config(finished.config)
    change(config)
    file = write_config(tmp_path / "anew.yaml", config)
    return plan(finished.workflow, tmp_path / "anew", file)


def test_defaults_written_out(finished: Finished, tmp_path: Path) -> None:
    def change(config: Config) -> None:
        config["models"]["minilm"]["finetuning"] = {"nli": {}, "ner": {}}
        config["activations"] = {"dtype": "float16"}

    assert _names(_after(finished, tmp_path, change)) == []


def _is(rule: str, **wildcards: str) -> Callable[[Job], bool]:
    return lambda job: (
        job.rule == rule and all(job.of(name) == value for name, value in wildcards.items())
    )


def _any_of(*chosen: Callable[[Job], bool]) -> Callable[[Job], bool]:
    return lambda job: any(choose(job) for choose in chosen)


def _set(path: str, value: Any) -> Callable[[Config], None]:
    def change(config: Config) -> None:
        *parents, last = path.split(".")
        for name in parents:
            config = config.setdefault(name, {})
        config[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "chosen"),
    [
        (
            "models.gpt-tiny.finetuning.nli.learning_rate",
            5.0e-4,
            _is("finetune", task="hpo-nli", model="gpt-tiny"),
        ),
        ("models.gpt-tiny.domain", "general", _is("table_scores")),
        ("finetuning.ner.epochs", 2, _is("finetune", task="hpo-ner")),
        ("probes.bilstm-crf.hidden", 10, _is("probe", probe="bilstm-crf")),
        ("tasks.hpo-ner.probe_limit", 200, _is("sample_for_probes", task="hpo-ner")),
        ("tasks.hpo-ner.limit.test", 10, _is("prepare_task", task="hpo-ner")),
        ("corpora.hpo.max_words", 3000, _is("prepare_corpus", corpus="hpo")),
        ("activations.dtype", "float32", _of_rules(EXTRACTION)),
        ("attention.examples", 5, _of_rules(EXTRACTION)),
        (
            "statistics.resamples",
            200,
            _of_rules(
                {
                    "score",
                    "part_attention",
                    "part_evaluation",
                    "part_differences",
                    "table_association",
                    "summary",
                }
            ),
        ),
        (
            "data_seed",
            8,
            _of_rules({"prepare_task", "prepare_corpus", "sample_for_probes"}),
        ),
    ],
)
def test_a_setting_reruns_its_own_jobs(
    path: str, value: Any, chosen: Callable[[Job], bool], finished: Finished, tmp_path: Path
) -> None:
    expected = with_downstream(finished.everything, _any_of(chosen, _is("configuration")))
    assert _names(_after(finished, tmp_path, _set(path, value))) == _names(expected)


def _add_seed(config: Config) -> None:
    config["variants"]["seeds"].append(3)


def _add_percentage(config: Config) -> None:
    config["variants"]["percentages"] = [0, 20, 50]


def _add_model(config: Config) -> None:
    source = {"kind": "continued", "base": "minilm", "corpus": "hpo"}
    training = config["models"]["gpt-tiny"]["source"]["training"]
    added = {
        "architecture": "encoder",
        "domain": "biomedical",
        "source": source | {"training": training},
    }
    config["models"] = {"minilm-hpo": added} | config["models"]


def _remove_model(config: Config) -> None:
    del config["models"]["gpt-tiny"]


def _remove_seed(config: Config) -> None:
    config["variants"]["seeds"] = [1]


def _remove_task(config: Config) -> None:
    del config["tasks"]["hpo-ner"]


@pytest.mark.parametrize("change", [_add_seed, _add_percentage, _add_model])
def test_what_is_added_leaves_the_rest_alone(
    change: Callable[[Config], None], finished: Finished, tmp_path: Path
) -> None:
    jobs = _all_of(finished, tmp_path, change)
    expected = with_downstream(
        jobs, lambda job: job not in finished.everything or job.rule == "configuration"
    )
    assert _names(_after(finished, tmp_path, change)) == _names(expected)
    # Of what was there, only what puts results together runs again.
    again = {job for job in expected & finished.everything if not job.rule.startswith(TOGETHER)}
    assert all(job.rule.startswith(PARTS) for job in again)
    if change is _add_model:  # parts of one model are not of the other
        assert {job for job in again if job.of("model")} == set()


@pytest.mark.parametrize("change", [_remove_model, _remove_seed, _remove_task])
def test_what_is_removed_reruns_what_puts_results_together(
    change: Callable[[Config], None], finished: Finished, tmp_path: Path
) -> None:
    jobs = _after(finished, tmp_path, change)
    more = {job for job in jobs if not job.rule.startswith(TOGETHER)}
    assert all(job.rule.startswith(PARTS) for job in more)
    if change is not _remove_seed:  # parts of one model are not of the other
        assert {job for job in more if job.of("model")} == set()
    assert {"table_scores", "table_probes", "table_attention"} <= {job.rule for job in jobs}
    assert jobs <= _all_of(finished, tmp_path, change)


def test_another_study_shares_nothing_but_fetched_models(
    finished: Finished, tmp_path: Path
) -> None:
    jobs = _after(finished, tmp_path, _set("study", "other"))
    assert _names(jobs) == _names(finished.everything - {_fetch(finished)})


def _fetch(finished: Finished) -> Job:
    (job,) = (job for job in finished.everything if job.rule == "fetch_model")
    return job


# --- files ---------------------------------------------------------------------------------------


def _linked(finished: Finished, to: Path) -> Path:
    """The finished study's folder again; replace its files, never write into them."""
    shutil.copytree(finished.folder, to, copy_function=os.link)
    return to


def _replace(path: Path, content: bytes) -> None:
    """Another file of the given content at this path, new from now."""
    other = path.with_name(f"{path.name}.new")
    other.write_bytes(content)
    other.replace(path)


@pytest.mark.parametrize(
    "path",
    [
        "results/miniature/samples/hpo-ner/f50-s1.parquet",
        "results/miniature/tables/probes.parquet",
    ],
)
def test_a_file_touched(path: str, finished: Finished, tmp_path: Path) -> None:
    """The same content with a new time stamp is the same file: nothing runs."""
    folder = _linked(finished, tmp_path / "run")
    _replace(folder / path, (folder / path).read_bytes())
    assert (folder / path).stat().st_mtime > (finished.folder / path).stat().st_mtime
    assert _names(plan(finished.workflow, folder, finished.config)) == []


def test_a_file_changed(finished: Finished, tmp_path: Path) -> None:
    """Other content reruns all that reads the file; the file itself is left as it is."""
    folder = _linked(finished, tmp_path / "run")
    path = "results/miniature/samples/hpo-ner/f50-s1.parquet"
    _replace(folder / path, b"something else")
    expected = with_downstream(finished.everything, lambda job: path in job.inputs)
    assert _names(plan(finished.workflow, folder, finished.config)) == _names(expected)
    assert {job.rule for job in expected} >= {"finetune", "baseline"}
