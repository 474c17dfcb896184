"""Changes of a finished study, each a case of a rerun, and which jobs a case names."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml
from running import (
    Config,
    Job,
    Plan,
    copy_workflow,
    plan,
    read_config,
    write_config,
)


@dataclass(frozen=True)
class Setup:
    """What Snakemake is called with. A change edits what is in `scratch`, or puts it there."""

    workflow: Path
    folder: Path
    config: Path
    scratch: Path
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def of_its_own(self, name: str) -> Setup:
        """With a copy of the workflow, the folder or the configuration that may be changed."""
        theirs: Path = getattr(self, name)
        mine = self.scratch / theirs.name
        if not mine.exists():
            if name == "workflow":
                copy_workflow(mine, theirs)
            elif name == "folder":  # by links: replace its files, never write into them
                shutil.copytree(theirs, mine, copy_function=os.link)
            else:
                shutil.copyfile(theirs, mine)
        return replace(self, **{name: mine})

    def plan(self) -> Plan:
        given = (self.workflow, self.folder, self.config, *self.options)
        return plan(*given, variables=self.variables)


Change = Callable[[Setup], Setup]
Chosen = Callable[[Job], bool]


def configured(change: Callable[[Config], Any]) -> Change:
    def apply(setup: Setup) -> Setup:
        setup = setup.of_its_own("config")
        config = read_config(setup.config)
        change(config)
        write_config(setup.config, config)
        return setup

    return apply


def setting(path: str, value: Any) -> Change:
    *parents, last = path.split(".")

    def change(config: Config) -> None:
        for name in parents:
            config = config.setdefault(name, {})
        config[last] = value

    return configured(change)


def in_turn(*changes: Change) -> Change:
    def apply(setup: Setup) -> Setup:
        for change in changes:
            setup = change(setup)
        return setup

    return apply


def written(pattern: str, edit: Callable[[str], str]) -> Change:
    """Files of the workflow with another text."""

    def apply(setup: Setup) -> Setup:
        setup = setup.of_its_own("workflow")
        paths = sorted(setup.workflow.glob(pattern))
        assert paths, pattern
        before = [path.read_text(encoding="utf-8") for path in paths]
        for path, text in zip(paths, before, strict=True):
            path.write_text(edit(text), encoding="utf-8")
        assert before != [path.read_text(encoding="utf-8") for path in paths], pattern
        return setup

    return apply


def edited(*files: str) -> Change:
    """Another statement at the end of files of workflow/scripts."""
    return in_turn(
        *(written(f"workflow/scripts/{file}", lambda text: text + "\n_X = 1\n") for file in files)
    )


def changed_files(change: Callable[[Path], Any], *options: str) -> Change:
    """The study's folder with some of its files replaced."""

    def apply(setup: Setup) -> Setup:
        setup = replace(setup.of_its_own("folder"), options=(*setup.options, *options))
        change(setup.folder)
        return setup

    return apply


def replace_file(path: Path, content: bytes) -> None:
    """Another file of the given content at this path, new from now."""
    other = path.with_name(f"{path.name}.new")
    other.write_bytes(content)
    other.replace(path)


def touch(place: str, hidden: bool = False) -> Callable[[Path], None]:
    """New times of a file, or of a folder and all files and folders in it.

    Snakemake keeps the time of a folder in a hidden file in it.
    """

    def change(folder: Path) -> None:
        paths = [folder / place, *(folder / place).rglob("*")]
        assert paths[0].exists()
        for path in paths:
            if path.is_dir():
                path.touch()
            elif hidden or not path.name.startswith("."):
                replace_file(path, path.read_bytes())

    return change


def write(place: str, content: bytes = b"something else") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        assert (folder / place).read_bytes() != content
        replace_file(folder / place, content)

    return change


def delete(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = sorted(folder.glob(pattern))
        assert found, pattern
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def edit_records(folder: Path) -> None:
    found = sorted(folder.glob("results/**/*.run.json"))
    assert len(found) > 100
    for path in found:
        edited = path.read_text().replace('"exit": 0', '"exit": 1').replace("sha256", "sha255")
        replace_file(path, edited.encode())


def delete_records(folder: Path) -> None:
    delete("results/**/*.run.json")(folder)


def in_another_order(setup: Setup) -> Setup:
    def backwards(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: backwards(value[key]) for key in reversed(value)}
        return value

    setup = setup.of_its_own("config")
    text = yaml.safe_dump(backwards(read_config(setup.config)), sort_keys=False)
    setup.config.write_text("# A comment.\n" + text.replace("\n", "  # Another.\n"))
    return setup


def write_defaults(config: Config) -> None:
    config["models"]["bert-tiny"]["finetuning"] = {"nli": {}, "ner": {}}
    config["activations"] = {"dtype": "float16"}


class _OtherDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value += "\n\nAnother line."
        return node


def documented_otherwise(text: str) -> str:
    """All of a module written anew, without a comment, in another layout."""
    edited = ast.unparse(_OtherDocstrings().visit(ast.parse(text)))
    return f"# A comment.\n\n{edited}\n"


def needing_other_resources(text: str) -> str:
    edited, count = re.subn(r"\*\*needed\(.*\),", "mem_mb=1, runtime=1, gpu=1,", text)
    assert count or "resources:" not in text
    return edited + "\n# A comment.\n"


def another_version(package: str) -> Change:
    """A package as if another version of it had been installed."""

    def apply(setup: Setup) -> Setup:
        text = distribution(package).read_text("METADATA")
        assert text
        folder = setup.scratch / "packages" / f"{package.replace('-', '_')}-99.0.0.dist-info"
        folder.mkdir(parents=True)
        edited = re.sub(r"^Version: .*$", "Version: 99.0.0", text, count=1, flags=re.MULTILINE)
        (folder / "METADATA").write_text(edited, encoding="utf-8")
        return replace(setup, variables={"PYTHONPATH": str(folder.parent)})

    return apply


def of_rule(rule: str, **wildcards: str) -> Chosen:
    return lambda job: (
        job.rule == rule and all(job.of(name) == value for name, value in wildcards.items())
    )


def any_of(*chosen: Chosen) -> Chosen:
    return lambda job: any(choose(job) for choose in chosen)


def calls(*programs: str) -> Chosen:
    """Jobs whose command calls one of these programs."""
    return lambda job: any(f"/scripts/{program}.py " in job.command for program in programs)


def figures(*names: str) -> Chosen:
    return lambda job: any(
        re.search(rf"/figures/{name}[-.]", output) for name in names for output in job.outputs
    )


def reads(place: str) -> Chosen:
    return lambda job: place in job.inputs


def made_from_text(job: Job) -> bool:
    return bool(job.command) and not any_of(of_rule("configuration"), of_rule("fetch_model"))(job)


def more_models(config: Config) -> None:
    config["models"]["gpt-more"] = config["models"]["gpt-tiny"]


def one_model(config: Config) -> None:
    del config["models"]["gpt-tiny"]


def more_seeds(config: Config) -> None:
    config["variants"]["seeds"].append(3)


def one_seed(config: Config) -> None:
    config["variants"]["seeds"] = [1]


def one_task(config: Config) -> None:
    del config["tasks"]["hpo-ner"]


def more_fractions(config: Config) -> None:
    config["variants"]["percentages"].append(80)


def no_heads(config: Config) -> None:
    config.setdefault("analyses", {})["heads"] = False
