"""Two commits side by side: code, configurations and versions. Commits hold no results."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layerscope.core.code import code_modules
from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file
from layerscope.provenance.comparison.changes import changes, compare_code, tally

#: What of a commit is looked at.
_PARTS = ("Snakefile", "workflow", "config", "constraints.txt")
#: Each commit's configurations are resolved by its own library, whose defaults are its own too.
_RESOLVE = """
import json, sys
from layerscope.config.load import read_yaml, validate
print(json.dumps([validate(read_yaml(path)).model_dump(mode="json") for path in sys.argv[1:]]))
"""
#: What is drawn and tabulated stands in each commit's own catalogue, if it has one.
_CATALOGUED = """
import json
from layerscope.catalogue import programs
print(json.dumps(programs()))
"""
_RULE = re.compile(r"^(?:use rule (\w+) as (\w+)|(?:rule|checkpoint) (\w+)).*:\s*$")
#: How a rule names its program; commits before the catalogue have only the first.
_CODE = re.compile(r'code_digest\("(\w+)"\)|\*\*job\("\w+", "(\w+)"')
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def _git(repository: Path, *arguments: str) -> bytes | None:
    """What git prints; None if it fails."""
    try:
        ran = subprocess.run(
            ["git", "-C", str(repository), *arguments],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("git: no such program; allowed: commits where git is installed") from None
    return ran.stdout if ran.returncode == 0 else None


def find_commit(repository: Path, name: str) -> str | None:
    """The full name of a commit of a repository; None if it has no such commit."""
    named = f"{name}^{{commit}}"
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", named)
    return found.decode().strip() if found else None


@contextmanager
def _files_of(repository: Path, commit: str) -> Iterator[Path]:
    """For the time of a block, a folder with the workflow as it was."""
    there = _git(repository, "ls-tree", "--name-only", "--full-tree", commit) or b""
    parts = [part for part in _PARTS if part in there.decode().split("\n")]
    if "workflow" not in parts:
        raise UserError(f"{commit}: no folder workflow/ in it; allowed: commits of this workflow")
    archive = _git(repository, "archive", "--format=zip", commit, *parts) or b""
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(archive)).extractall(folder)
        yield Path(folder)


def compare_commits(repository: Path, a: str, b: str) -> dict[str, Any]:
    """What of code, configurations and versions differs between two commits.

    Args:
        repository: a checkout.
        a, b: full names of commits of it.

    Returns:
        JSON: `a` and `b`; `code`, by program, as in `compare_code`; `rules` whose program differs;
        `rule_files` that differ in more than comments; `configurations` with `changes`, `only_a`,
        `only_b`, and `unresolved`, those that a commit refuses itself and that are compared as
        they stand; `versions`.

    Raises:
        UserError: a commit that is none of this workflow, or whose code cannot be read.
    """
    with _files_of(repository, a) as old, _files_of(repository, b) as new:
        code = compare_code(_programs(old, a), _programs(new, b))
        changed = {*code["different"], *code["only_b"]}
        settings_a, unresolved_a = _configurations(old)
        settings_b, unresolved_b = _configurations(new)
        unresolved = unresolved_a | unresolved_b
        for name in unresolved:  # what one side resolved is compared as it stands too
            for side, folder in ((settings_a, old), (settings_b, new)):
                if name in side:
                    side[name] = _as_it_stands(folder / name)
        return {
            "a": {"commit": a},
            "b": {"commit": b},
            "code": code,
            "rules": sorted(rule for rule, program in _rules(new).items() if program in changed),
            "rule_files": tally(_rule_files(old), _rule_files(new)),
            "configurations": {
                "changes": {
                    name: found
                    for name in sorted(settings_a.keys() & settings_b.keys())
                    if (found := changes(settings_a[name], settings_b[name]))
                },
                "only_a": sorted(settings_a.keys() - settings_b.keys()),
                "only_b": sorted(settings_b.keys() - settings_a.keys()),
                "unresolved": sorted(unresolved),
            },
            "versions": changes(_versions(old), _versions(new)),
        }


def _programs(folder: Path, commit: str) -> dict[str, dict[str, str]]:
    scripts = folder / "workflow" / "scripts"
    found: dict[str, tuple[str, str | None]] = {
        path.stem: (path.stem, None) for path in scripts.glob("*.py")
    }
    found |= {_name(*each): each for each in _catalogued(folder).values()}
    try:
        return {name: code_modules(*each, scripts=scripts) for name, each in found.items()}
    except SyntaxError as error:
        file = Path(str(error.filename)).relative_to(folder)
        raise UserError(
            f"{commit[:12]}: {file} line {error.lineno}: not Python; allowed: code that can be read"
        ) from None


def _smk(folder: Path) -> Iterator[Path]:
    entries = (folder / "Snakefile", folder / "workflow" / "Snakefile")
    yield from (path for path in entries if path.is_file())
    yield from sorted((folder / "workflow" / "rules").glob("*.smk"))


def _catalogued(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Program of each rule in the catalogue of a commit, and its part if it has one."""
    return {rule: (each[0], each[1]) for rule, each in (_ask(folder, _CATALOGUED) or {}).items()}


def _name(program: str, part: str | None) -> str:
    """How a program that does one of its parts is named, as `draw plotting.heads`."""
    return f"{program} {part}" if part else program


def _rules(folder: Path) -> dict[str, str]:
    """The program of each rule that makes results, with its part if it has one."""
    found = {rule: _name(*each) for rule, each in _catalogued(folder).items()}
    for path in _smk(folder):
        rule = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            head, code = _RULE.match(line), _CODE.search(line)
            if head:
                rule = head[2] or head[3]
                if head[1] in found:
                    found[rule] = found[head[1]]
            elif code and rule:
                found[rule] = code[1] or code[2]
    return found


def _rule_files(folder: Path) -> dict[str, list[str]]:
    """The text of each file of rules without comments and layout."""
    return {path.relative_to(folder).as_posix(): _words(path) for path in _smk(folder)}


def _words(path: Path) -> list[str]:
    with tokenize.open(path) as text:
        try:
            tokens = list(tokenize.generate_tokens(text.readline))
        except (tokenize.TokenError, SyntaxError):
            return path.read_text(encoding="utf-8").splitlines()
    return [token.string for token in tokens if token.type not in _LAYOUT]


def _configurations(folder: Path) -> tuple[dict[str, Any], set[str]]:
    """Each configuration resolved, by its path; and which ones the commit itself refuses."""
    paths = sorted((folder / "config").glob("*.yaml"))
    names = [path.relative_to(folder).as_posix() for path in paths]
    resolved = _resolve(folder, paths)
    if resolved is not None:
        return dict(zip(names, resolved, strict=True)), set()
    found: dict[str, Any] = {}
    refused = set()
    for name, path in zip(names, paths, strict=True):
        one = _resolve(folder, [path])
        if one is None:
            refused.add(name)
        found[name] = one[0] if one else _as_it_stands(path)
    return found, refused


def _resolve(folder: Path, paths: list[Path]) -> list[dict[str, Any]] | None:
    found: list[dict[str, Any]] | None = _ask(folder, _RESOLVE, *map(str, paths))
    return found


def _ask(folder: Path, code: str, *arguments: str) -> Any:
    """The JSON that code prints with a commit's own library; None if it fails."""
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "workflow" / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(ran.stdout) if ran.returncode == 0 else None


def _as_it_stands(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None
    return content if isinstance(content, dict) else {"(not YAML)": sha256_file(path)}


def _versions(folder: Path) -> dict[str, str]:
    path = folder / "constraints.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    return {name: version for line in lines if line for name, _, version in [line.partition("==")]}
