"""Commands that the documentation shows: they exist, are written rightly, and are run by a test.

They stand in indented blocks, in fences of bash and as inline code. `TESTS` says which test runs
each, and `OTHERS` why none does. What is the same apart from placeholders has one entry.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from forking import run_program
from rules import rules
from running import ROOT

from layerscope.__main__ import COMMANDS, parser

PAGES = (
    *("README.md", "CONTRIBUTING.md", "config/README.md", "mkdocs.yml"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
    *("containers/Dockerfile", "containers/layerscope.def"),
)
#: Their command lines are checked. All others are known by their first words alone.
CHECKED = ("make", "python", "layerscope", "snakemake")
#: Names of configurations that stand for the reader's own.
OWN_STUDIES = {"my.yaml", "my-study.yaml", "study.yaml", "miniature.yaml"}
#: Options of Snakemake that say where something is, or how many cores there are.
PLACES = {"--profile", "--configfile", "--cores", "--directory", "--snakefile"}

#: Commands by the test that runs them, without placeholders and values (`same_for_all`).
TESTS = {
    "end_to_end/test_audit.py::test_the_command_ends_with_0_only_if_everything_holds": [
        "make audit"
    ],
    "workflow/test_scale.py::test_a_study_can_be_measured": [
        "python benchmarks/dag.py --cores --seeds"
    ],
    "unit/test_benchmarks_gpu.py::test_a_part_holds_on_a_processor": [
        "python benchmarks/gpu/run.py --device --tiny"
    ],
    "unit/test_benchmarks.py::test_the_pages_have_what_was_measured_last": [
        "python benchmarks/report.py"
    ],
    "unit/test_families.py::test_the_table_of_the_docs_is_that_of_this_test": [
        "python tests/unit/tiny_families.py"
    ],
    "end_to_end/test_crate.py::test_the_validator_passes_it_and_refuses_what_is_broken": [
        "python tests/validate_crate.py"
    ],
    "end_to_end/test_audit.py::test_a_figure_that_left_its_folder_is_traced": [
        "python workflow/scripts/audit.py"
    ],
    "unit/test_compare.py::test_the_program_prints_text_or_json": [
        "python workflow/scripts/compare.py",
        "python workflow/scripts/compare.py --json",
        "layerscope compare",
    ],
    "unit/test_config_schema.py::test_check_finds_drift_in_one_line_and_writing_mends_it": [
        "python workflow/scripts/write_schema.py"
    ],
    "end_to_end/test_audit.py::test_a_figure_in_another_folder_named_results_is_traced": [
        "layerscope audit"
    ],
    "unit/test_interface.py::test_explain_and_estimate_ask_snakemake": [
        "layerscope estimate",
        "layerscope explain",
    ],
    "end_to_end/test_hub_export.py::test_tables_and_models_are_read_by_others": [
        "layerscope export",
        "layerscope export --out",
        "layerscope export --out --variants",
    ],
    "unit/test_interface.py::test_open_names_pages_and_opens_the_report": ["layerscope open"],
    "unit/test_pack.py::test_the_command_packs_what_the_configuration_asks_for": [
        "layerscope pack"
    ],
    "unit/test_interface.py::test_losses_are_event_files": [
        "layerscope track",
        "layerscope track --out",
    ],
    "end_to_end/test_miniature.py::test_every_file_of_the_plan_is_there_and_no_other": [
        "snakemake"
    ],
    "workflow/test_own_data.py::test_the_whole_study_is_there": ["snakemake -n"],
    "workflow/test_own_data.py::test_reports_say_what_the_document_says": ["snakemake FILES"],
    "workflow/test_explain.py::test_without_snakemake_s_notes_a_run_tells_what_is_out_of_date": [
        "snakemake --forcerun"
    ],
    "workflow/test_reruns.py::test_touch_accepts_a_copy_without_times_and_a_changed_setting": [
        "snakemake --touch"
    ],
    "workflow/test_clean.py::test_figures_of_an_analysis_that_is_turned_off_are_removed": [
        "snakemake clean",
        "snakemake remove_leftovers",
    ],
    "end_to_end/test_crate.py::test_every_record_is_one_action": ["snakemake crate"],
    "workflow/test_download.py::test_after_a_download_no_network_is_needed": ["snakemake download"],
    "workflow/test_estimate.py::test_the_table_is_printed_and_kept_and_nothing_else_happens": [
        "snakemake estimate",
        "snakemake estimate on slurm",
    ],
    "workflow/test_explain.py::test_nothing_changed": ["snakemake explain"],
    "workflow/test_module.py::test_its_jobs_run": [
        "snakemake layerscope_download",
        "snakemake layerscope_estimate",
    ],
    "end_to_end/test_crate.py::test_what_is_contained": ["snakemake pack"],
    "end_to_end/test_paper.py::test_every_figure_and_the_report_are_there": ["snakemake report"],
    "workflow/test_rules.py::test_a_report_is_out_of_date_after_any_change_in_it": [
        "snakemake report -n"
    ],
    "slurm/test_study.py::test_results_are_those_of_a_local_run": ["snakemake on slurm"],
    "workflow/test_executors.py::test_the_profile_for_slurm_by_its_name": ["snakemake -n on slurm"],
    "end_to_end/test_miniature_again.py::test_a_killed_run_goes_on_and_ends_with_the_same_files": [
        "snakemake --unlock on slurm"
    ],
    "slurm/test_study.py::test_check_shows_what_slurm_would_reject": ["snakemake check on slurm"],
    "workflow/test_executors.py::test_another_engine_runs_jobs": [
        "snakemake --cluster-generic-submit-cmd --executor --jobs --latency-wait"
    ],
    "unit/test_site.py::test_the_site_is_built_without_a_warning_and_loads_nothing": [
        "mkdocs build",
        "mkdocs serve",
    ],
}
#: Those that no test runs, by what they need, or for what they are.
OTHERS = {
    "a network": [
        "git clone",
        "git pull",
        "hf upload",
        "make .venv/.ready",
        "npx",
        "pip download",
        "pip install",
        "pre-commit install",
        "snakemake download on slurm",
    ],
    "a cluster": ["sbatch", "sinfo", "snakemake --retries --set-resources on slurm", "squeue"],
    "a GPU": ["make bench-gpu", "make bench-gpu PARTS", "snakemake --resources"],
    "a container engine": ["apptainer build", "docker build"],
    "another package": ["jupyter", "tensorboard", "tmux"],
    "a long time": [
        "bash .ci/run",
        "make bench",
        "make bench STAGES",
        "make demo",
        "make demo CORES",
        "make lint",
        "make pictures",
        "make test",
        "make test-all",
        "python benchmarks/dag.py",
        "python benchmarks/growth.py",
        "python benchmarks/predict.py",
    ],
    "a shell alone": [
        "cd",
        "cp",
        "du",
        "export",
        "git worktree",
        "ln",
        "make clean",
        "mkdir",
        "rsync",
        "sha256sum",
        "source",
        "unzip",
        "venv",
        "xdg-open",
    ],
}
RUN_BY = {name: by for group in (TESTS, OTHERS) for by, names in group.items() for name in names}


# --- what pages show -----------------------------------------------------------------------------


class Command(NamedTuple):
    """One command of a page: its words, without variables before it or `python -m`."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: `{' '.join(self.words)}`"


def known_as(words: tuple[str, ...]) -> str | None:
    """One of `CHECKED`, or the first words of another command."""
    if words[0] in CHECKED:
        return words[0]
    return next((name for name in (words[0], " ".join(words[:2])) if name in RUN_BY), None)


def parts(line: str) -> list[tuple[str, ...]]:
    """What `&&` joins in a line, and what `sbatch --wrap` has."""
    found: list[list[str]] = [[]]
    wrapped: list[tuple[str, ...]] = []
    for word in shlex.split(line, comments=True):
        if word == "&&":
            found.append([])
        elif word != "…":
            found[-1].append(word)
        if " && " in word:
            wrapped += parts(word)
    return [*filter(None, map(bare, found)), *wrapped]


def bare(words: list[str]) -> tuple[str, ...]:
    """Without what precedes a command, and `pip` for `.venv/bin/pip` and `python -m pip`."""
    while words and re.match(r"exec$|[A-Z_]+=", words[0]):
        words = words[1:]
    words = [*(re.sub(r"^python3$", "python", w.removeprefix(".venv/bin/")) for w in words)]
    return tuple(words[2:] if words[:2] == ["python", "-m"] else words)


def starts_as_one(line: str) -> bool:
    with contextlib.suppress(ValueError):  # a text with an apostrophe
        return bool(found := parts(line)) and known_as(found[0]) is not None
    return False


def of_page(page: str, text: str) -> Iterator[Command]:
    """Commands in the text of a page. Where one is in a block, each of its lines is to be one."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", text):
        if page.endswith(".md") and paragraph.lstrip("\n").startswith("    "):
            if any(map(starts_as_one, paragraph.splitlines())):
                blocks.append(paragraph)
        else:
            for code in re.findall(r"`([^`]+)`", paragraph):
                choice = re.match(r"(layerscope) (\w+(?:\|\w+)+)$", code)
                each = [f"{choice[1]} {one}" for one in choice[2].split("|")] if choice else [code]
                for line in filter(starts_as_one, each):
                    yield from (Command(page, words) for words in parts(line) if len(words) > 1)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        yield from (Command(page, words) for words in parts(line))


COMMANDS_OF_DOCS = [
    command for page in PAGES for command in of_page(page, (ROOT / page).read_text("utf-8"))
]


def of(program: str) -> list[Command]:
    return [command for command in COMMANDS_OF_DOCS if command.words[0] == program]


def same_for_all(command: Command) -> str:
    """A command without placeholders and values: its entry in `RUN_BY`."""
    program, *rest = command.words
    if program not in CHECKED:
        return known_as(command.words) or " ".join(command.words[:2])
    if program == "make":
        return " ".join([program, *(word.partition("=")[0] for word in rest)])
    options = {word.partition("=")[0] for word in rest if word.startswith("-")}
    if program != "snakemake":
        return " ".join([program, rest[0], *sorted(options)])
    words = [word for word in rest if word in rules() or word.startswith("layerscope_")]
    words += ["FILES"] if any(word.startswith("results/") for word in rest) else []
    slurm = ["on slurm"] if {"slurm", "profiles/slurm"} & {*rest} else []
    forced = rest.index("--forcerun") if "--forcerun" in rest else len(rest)
    words = [word for word in words if word not in rest[forced:]]
    return " ".join([program, *words, *sorted(options - PLACES), *slurm])


# --- each is run by a test, or needs what a test has not ---------------------------------------


@pytest.mark.slow
def test_every_command_has_an_entry_and_every_entry_a_command() -> None:
    shown = {same_for_all(command): command for command in COMMANDS_OF_DOCS}
    new = [
        f"{shown[name]}: no entry {name!r} in TESTS or OTHERS"
        for name in shown.keys() - RUN_BY.keys()
    ]
    gone = [
        f"{name!r} of TESTS or OTHERS is in no page any more"
        for name in RUN_BY.keys() - shown.keys()
    ]
    assert not new + gone, "\n".join(sorted(new + gone))


@pytest.mark.parametrize("said", TESTS)
def test_a_test_that_is_named_exists(said: str) -> None:
    file, _, function = said.partition("::")
    path = ROOT / "tests" / file
    assert path.is_file(), f"TESTS: no file tests/{file}"
    assert f"\ndef {function}(" in path.read_text("utf-8"), f"TESTS: no {function} in tests/{file}"


def test_a_line_that_is_no_known_command_is_found() -> None:
    text = "Text.\n\n    make demo\n    frobnicate --all\n\n    It prints this.\n"
    assert [same_for_all(one) for one in of_page("x.md", text)] == [
        "make demo",
        "frobnicate --all",
    ]


# --- and is written as its program wants it ----------------------------------------------------


def test_targets_and_variables_of_make() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    text = text.replace("$(VENV)", ".venv")
    targets = set(re.findall(r"^([a-z./-]+):", text, re.MULTILINE))
    variables = set(re.findall(r"^(\w+) \?=", text, re.MULTILINE))
    for command in of("make"):
        for word in command.words[1:]:
            known = variables if "=" in word else targets
            assert word.partition("=")[0] in known, f"{command}: allowed: {sorted(known)}"


def test_programs_exist_and_have_their_options() -> None:
    given: dict[str, list[tuple[Command, set[str]]]] = {}
    for command in of("python"):
        assert (ROOT / command.words[1]).is_file(), f"{command}: no such file"
        options = {word.partition("=")[0] for word in command.words if word.startswith("--")}
        given.setdefault(command.words[1], []).append((command, options))
    for program, calls in given.items():
        usage = ""
        if any(options for _, options in calls) or "required=True" in (ROOT / program).read_text():
            usage = run_program(ROOT / program, "--help").stdout.partition("\n\n")[0]
        required = set(re.findall(r"--[\w-]+", re.sub(r"\[[^][]*(\[[^]]*\][^][]*)*\]", "", usage)))
        for command, options in calls:
            unknown = options - set(re.findall(r"--[\w-]+", usage))
            assert not unknown, f"{command}: no option {sorted(unknown)}"
            assert required <= options, f"{command}: without {sorted(required - options)}"


def test_the_command_takes_what_is_shown() -> None:
    for command in of("layerscope"):
        assert command.words[1] in COMMANDS, f"{command}: allowed: {sorted(COMMANDS)}"
        if len(command.words) > 2:
            parsed(parser(), command)


def parsed(by: Any, command: Command) -> Any:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            return by.parse_args(list(command.words[1:]))
        except SystemExit:
            pass
    raise AssertionError(f"{command}: {said.getvalue().splitlines()[-1]}")


@pytest.mark.slow
def test_snakemake_takes_what_is_shown() -> None:
    """Targets before --configfile, rules and files that exist."""
    from snakemake.cli import get_argument_parser

    snakemake = get_argument_parser()
    for command in of("snakemake"):
        options = parsed(snakemake, command)
        for name in {*options.targets, *options.forcerun, *options.set_resources}:
            own = name in rules() or name.removeprefix("layerscope_") in rules()
            assert own or name.startswith("results/"), f"{command}: no rule {name!r}"
        for name in map(str, options.configfile or []):
            written = f"`{name}`\n\n```yaml" in (ROOT / command.page).read_text("utf-8")
            known = name in OWN_STUDIES or written or (ROOT / name).is_file()
            assert known, f"{command}: no configuration {name!r}"
        for name in options.profile or []:
            there = name == "slurm" or Path(ROOT, name, "config.yaml").is_file()
            assert there, f"{command}: no profile {name!r}"
