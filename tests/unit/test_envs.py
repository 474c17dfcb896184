"""Every version stands in constraints.txt, and the conda environments repeat it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rules import rules

from layerscope.catalogue import programs
from layerscope.core.code import SCRIPTS, code_modules

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ["cpu", "gpu", "plot"]
BROUGHT_BY_PYTHON = {"pip", "setuptools"}
PINNED_BY_TORCH = ("nvidia-", "cuda-", "triton")  # its default wheel names exact versions
MODULES = {"sklearn": "scikit-learn", "yaml": "pyyaml"}  # import names that differ


def lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return lines_of(text)


def lines_of(text: str) -> list[str]:
    """Lines without comments, and no empty one."""
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


def pins(entries: list[str]) -> dict[str, str]:
    """Version of each package, by its canonical name."""
    found = {}
    for entry in entries:
        name, separator, version = entry.partition("==")
        assert separator, f"{entry}: no exact version"
        assert canonicalize_name(name) not in found, f"{name} occurs twice"
        found[canonicalize_name(name)] = version
    return found


CONSTRAINTS = pins(lines(ROOT / "constraints.txt"))


def read_environment(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text(encoding="utf-8"))


def pip_entries(name: str) -> list[str]:
    (section,) = [d["pip"] for d in read_environment(name)["dependencies"] if isinstance(d, dict)]
    return [entry for entry in section if not entry.startswith("--")]


def needed(names: set[str]) -> set[str]:
    """These packages and all that they require here, by canonical name."""
    found: set[str] = set()
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name in found or name in BROUGHT_BY_PYTHON or name.startswith(PINNED_BY_TORCH):
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))
    return found


def required(name: str) -> set[str]:
    """What a file of requirements names itself, by canonical name."""
    found = [entry for entry in lines(ROOT / name) if not entry.startswith("-r ")]
    for entry in found:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", entry), f"{entry}: versions go to constraints.txt"
    return {canonicalize_name(entry) for entry in found}


def test_requirements_and_what_they_need_are_pinned() -> None:
    names = required("requirements.txt") | required("requirements-dev.txt")
    assert needed(names) - CONSTRAINTS.keys() == set()


def test_the_lock_file_has_what_studies_need_with_hashes_but_pytorch() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line.split() for line in lines_of(text)]
    found = pins([entry[0] for entry in entries])
    assert found == {package: CONSTRAINTS[package] for package in found}
    assert needed(required("requirements.txt")) - found.keys() == {"torch"}
    assert all(
        len(entry) > 1 and all(hashed.startswith("--hash=sha256:") for hashed in entry[1:])
        for entry in entries
    )


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_the_pinned_versions(name: str) -> None:
    found = pins(pip_entries(name))
    assert found == {package: CONSTRAINTS[package] for package in found}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_pins_all_that_it_installs(name: str) -> None:
    found = pins(pip_entries(name)).keys()
    assert needed(set(found)) - found == set()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_names_its_channels_and_python(name: str) -> None:
    environment = read_environment(name)
    assert environment["name"] == f"layerscope-{name}"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    plain = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert plain == ["python=3.11", "pip"]


def test_gpu_is_cpu_with_another_wheel_of_torch() -> None:
    assert pip_entries("gpu") == pip_entries("cpu")
    texts = {n: (ROOT / "envs" / f"{n}.yaml").read_text(encoding="utf-8") for n in ENVIRONMENTS}
    assert "--extra-index-url https://download.pytorch.org/whl/cpu\n" in texts["cpu"]
    assert "--" not in texts["gpu"]


def test_plot_has_no_model_library() -> None:
    assert not {"torch", "transformers", "scikit-learn"} & pins(pip_entries("plot")).keys()


Called = tuple[str, str | None]  # a program, and its part if it has one (layerscope.core.code)


def programs_by_environment() -> dict[str, set[Called]]:
    """Which programs the rules run in which environment; checked not to be empty below."""
    found: dict[str, set[Called]] = {name: set() for name in ENVIRONMENTS}
    parts = programs()
    for name, rule in rules().items():
        # `check`, `estimate` and `explain` run Snakemake's own Python: they ask Snakemake.
        if rule.shell and "{params.python" not in rule.shell:
            found[Path(rule.conda).stem].add(parts.get(name, (rule.program, None)))
    return found


def third_party(program: str, part: str | None = None) -> set[str]:
    """Packages that a program and the library modules it imports name in their imports."""
    names: set[str] = set()
    for module in code_modules(program, part):
        if "/" in module:
            continue  # a page's script or style sheet
        base = SCRIPTS.joinpath(*module.split("."))
        path = (
            base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.split(".")[0])
    names -= set(sys.stdlib_module_names) | {"layerscope", "__future__"}
    return {canonicalize_name(MODULES.get(name, name)) for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_what_its_programs_import(name: str) -> None:
    installed = pins(pip_entries(name)).keys()
    for program, part in programs_by_environment()[name]:
        assert third_party(program, part) <= installed, (program, part)


def test_the_rules_do_name_environments() -> None:
    found = programs_by_environment()
    assert ("finetune", None) in found["gpu"]
    assert {("draw", "figures.scores"), ("write_config", None)} <= found["plot"]
    assert {"torch", "transformers"} <= third_party("finetune")
    assert "matplotlib" in third_party("draw", "figures.scores")


@pytest.mark.parametrize("recipe", ["Dockerfile", "layerscope.def"])
def test_an_image_installs_what_make_installs(recipe: str) -> None:
    """By the same commands, from files that are copied into it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.findall(r"^\t\$\(INSTALL\) (.*)$", makefile, re.MULTILINE)[:2]
    text = (ROOT / "containers" / recipe).read_text(encoding="utf-8")
    text = text.replace("/opt/layerscope/", "")
    assert re.findall(r"pip install --no-cache-dir (.*?)(?: \\)?$", text, re.MULTILINE) == wanted
    (image,) = re.findall(r"^(?:FROM|From:) (\S+)$", text, re.MULTILINE)
    assert image == "python:3.11-slim-bookworm"
