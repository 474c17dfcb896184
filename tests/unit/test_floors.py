"""Imports point down only: programs, what people use, provenance, stages, shared code, ground."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"
PACKAGE = "layerscope"

#: Folders of layerscope by floor, from the ground up: a module is on the floor of its first folder.
FLOORS = {
    "ground": {"catalogue", "config", "core", "resources", "run_records", "runtime"},
    "shared": {"data", "download", "models", "statistics"},
    "stages": {
        "analysis",
        "data_report",
        "evaluation",
        "explorer",
        "extraction",
        "figures",
        "summary",
        "tables",
        "training",
    },
    "provenance": {"provenance"},
    "interface": {"__main__", "interface"},
}
#: The modules that lie in no folder.
FLAT = {"__main__", "catalogue"}
ORDER = [*FLOORS, "programs"]
HEAVY = {"torch", "transformers", "sklearn", "accelerate", "tokenizers", "safetensors"}
#: Folders whose modules draw tables and know nothing of models.
DRAWING = {"explorer", "figures"}
#: Parts of the configuration that know the whole of it. A program that imported one would rerun
#: with every edit of the schema; these programs make no results.
WHOLE_CONFIGURATION = {
    f"{PACKAGE}.config.{name}" for name in ("schema", "load", "jobs", "mistakes")
} | {f"{PACKAGE}.resources"}
MAY_KNOW_THE_WHOLE = {
    *("write_schema", "write_config", "estimate", "check_submissions", "audit", "update_pictures")
}

Sources = dict[str, set[str]]  # a module or program, and what it imports anywhere in its text


def imports_of(text: str, module: str, is_package: bool = False) -> set[str]:
    """Dotted names that a source imports, at the top or inside functions, made absolute."""
    found: set[str] = set()
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def read_sources() -> Sources:
    sources = {}
    for path in sorted(SCRIPTS.rglob("*.py")):
        parts = path.relative_to(SCRIPTS).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        sources[module] = imports_of(path.read_text(encoding="utf-8"), module, is_package)
    return sources


def first_level(module: str) -> str | None:
    """`analysis` of `layerscope.analysis.probing.linear`; None for what is not in the package."""
    parts = module.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None


def floor(module: str, sources: Sources) -> str | None:
    """Floor of a module or program; None for what is neither, and for the package itself."""
    name = first_level(module)
    if name is not None:
        return next((floor for floor, names in FLOORS.items() if name in names), None)
    return "programs" if module in sources and module != PACKAGE else None


def upward(sources: Sources) -> list[str]:
    """Imports that point up, or from one stage to another, or from a program to another."""
    found = []
    for module, imported in sources.items():
        own = floor(module, sources)
        for name in sorted(imported):
            other = floor(name, sources)
            if own is None or other is None:
                continue
            beside = own == other and own in ("stages", "programs")
            same = first_level(module) == first_level(name) and own == "stages"
            if ORDER.index(other) > ORDER.index(own) or (beside and not same):
                found.append(f"{module} ({own}) imports {name} ({other})")
    return found


def heavy(sources: Sources) -> list[str]:
    """Imports of model libraries by modules that must start without them."""
    return [
        f"{module} imports {name}"
        for module, imported in sources.items()
        for name in sorted(imported)
        if (floor(module, sources) == "ground" or first_level(module) in DRAWING)
        and name.split(".")[0] in HEAVY
    ]


def knowing_too_much(sources: Sources) -> list[str]:
    """Imports of the whole configuration by programs, stages and what they share."""
    return [
        f"{module} imports {name}"
        for module, imported in sources.items()
        for name in sorted(imported & WHOLE_CONFIGURATION)
        if module not in MAY_KNOW_THE_WHOLE
        and first_level(module) not in ("config", "interface", "provenance", "resources")
    ]


def test_every_folder_has_a_floor_and_no_module_lies_flat() -> None:
    folders = {path.parent.name for path in (SCRIPTS / PACKAGE).glob("*/__init__.py")}
    flat = {path.stem for path in (SCRIPTS / PACKAGE).glob("*.py")} - {"__init__"}
    placed = set.union(*FLOORS.values())
    assert folders <= placed - FLAT, f"give a floor in this test to: {folders - placed}"
    assert flat <= FLAT, f"move into a folder: {flat - FLAT}"
    assert placed - FLAT <= folders, f"no such folder: {placed - FLAT - folders}"
    assert sum(map(len, FLOORS.values())) == len(placed)


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in (SCRIPTS / PACKAGE).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_imports_point_down() -> None:
    assert upward(read_sources()) == []


def test_ground_and_drawing_need_no_model_library() -> None:
    assert heavy(read_sources()) == []


def test_drawing_knows_no_models() -> None:
    reached = {
        name
        for module, imported in read_sources().items()
        if first_level(module) in DRAWING
        for name in imported
        if first_level(name) in {"data", "download", "models"}
    }
    assert reached == set()


def test_programs_know_their_own_section_of_the_configuration() -> None:
    assert knowing_too_much(read_sources()) == []


def test_the_ground_floor_starts_without_model_libraries() -> None:
    """At run time too, whatever its own requirements import."""
    ground = [module for module in read_sources() if first_level(module) in FLOORS["ground"]]
    unwanted = sorted(HEAVY | {"matplotlib", "pandas", "scipy"})
    program = (
        "import importlib, sys\n"
        f"for name in {ground}: importlib.import_module(name)\n"
        f"print([name for name in {unwanted} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SCRIPTS)},
    )
    assert result.stdout.strip() == "[]", result.stderr


PLANTED: Sources = {
    "train": {f"{PACKAGE}.training.finetuning.fit", f"{PACKAGE}.config.training"},
    f"{PACKAGE}.training.finetuning": {"torch", f"{PACKAGE}.models.load", f"{PACKAGE}.core.files"},
    f"{PACKAGE}.analysis.probing.run": {f"{PACKAGE}.analysis.probing.linear", "sklearn.svm"},
    f"{PACKAGE}.core.formats.tables": {"numpy", f"{PACKAGE}.core.files"},
    f"{PACKAGE}.figures.curves": {"matplotlib", f"{PACKAGE}.core.formats"},
    f"{PACKAGE}.provenance.audit": {f"{PACKAGE}.evaluation.scoring"},
}


def test_a_sound_example_is_let_be() -> None:
    assert upward(PLANTED) == heavy(PLANTED) == knowing_too_much(PLANTED) == []


@pytest.mark.parametrize(
    ("module", "imported", "check"),
    [
        (f"{PACKAGE}.core.formats.tables", f"{PACKAGE}.data.iob", upward),
        (f"{PACKAGE}.core.formats.tables", f"{PACKAGE}.analysis.probing", upward),
        (f"{PACKAGE}.models.load", f"{PACKAGE}.training.finetuning", upward),
        (f"{PACKAGE}.analysis.probing.run", f"{PACKAGE}.extraction.activations", upward),
        (f"{PACKAGE}.figures.curves", f"{PACKAGE}.provenance.audit", upward),
        (f"{PACKAGE}.training.finetuning", "train", upward),
        ("probe", "train", upward),
        (f"{PACKAGE}.core.files", "torch.nn", heavy),
        (f"{PACKAGE}.catalogue", "transformers", heavy),
        (f"{PACKAGE}.figures.curves", "sklearn", heavy),
        ("train", f"{PACKAGE}.config.schema", knowing_too_much),
        (f"{PACKAGE}.training.finetuning", f"{PACKAGE}.config.jobs", knowing_too_much),
    ],
)
def test_a_planted_fault_is_found(
    module: str, imported: str, check: Callable[[Sources], list[str]]
) -> None:
    planted = {**PLANTED, module: PLANTED.get(module, set()) | {imported}}
    assert len(check(planted)) == 1


def test_imports_are_found_wherever_they_stand() -> None:
    text = (
        "import torch.nn\nfrom . import style\nfrom ..core.files import whole_file\n"
        "def f():\n    from layerscope.core import formats\n"
    )
    assert imports_of(text, f"{PACKAGE}.figures.curves") >= {
        "torch.nn",
        f"{PACKAGE}.figures.style",
        f"{PACKAGE}.core.files",
        f"{PACKAGE}.core.formats",
    }
    assert f"{PACKAGE}.figures.style" in imports_of(
        "from .style import x", f"{PACKAGE}.figures", is_package=True
    )
