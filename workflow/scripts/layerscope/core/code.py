"""Digest of what a program does: its own source and every layerscope module it imports.

The digest is taken over syntax trees without comments, docstrings and layout, so formatting or
commenting code changes nothing, while an edit of what a helper does changes the digest of exactly
the programs that import it, however deep. Imports inside functions count as well. A program that
imports one of many modules by name, such as `draw`, has a digest for each of these parts. What only
watches programs (`OBSERVERS`) is left out. Scripts and markup of pages (`ASSETS`) count, with all
their text, for whatever imports a module of the same folder.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from layerscope.core.code_cache import code_cache

THIS_FILE = Path(__file__).resolve()
SCRIPTS = THIS_FILE.parents[2]
PACKAGE = "layerscope"
#: Packages that record what a program does and change nothing in what it makes.
OBSERVERS = frozenset({"layerscope.run_records"})
#: Files that are not Python and that a module may read from its own folder.
ASSETS = frozenset({".css", ".html", ".js"})


def _statements(tree: ast.Module) -> list[ast.stmt]:
    """All statements at any depth. No expression holds one, so expressions are not walked."""
    found: list[ast.stmt] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            part = getattr(node, name, None)
            if isinstance(part, list):  # the body of a lambda is an expression
                waiting.extend(part)
        if isinstance(node, ast.stmt):
            found.append(node)
    return found


def _remove_docstrings(tree: ast.Module, statements: list[ast.stmt]) -> None:
    for node in (tree, *statements):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
                if not (node.body or isinstance(node, ast.Module)):
                    node.body = [ast.Pass()]  # what stands there when there never was a docstring


@cache
def _module_file(scripts: Path, name: str) -> Path | None:
    base = scripts.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(statements: list[ast.stmt], module: str, is_package: bool) -> set[str]:
    """Dotted names of the package's modules that statements may import."""
    names: set[str] = set()
    for node in statements:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*parts, base] if base else parts)
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] == PACKAGE:
            # Importing a.b.c runs a/__init__ and a/b/__init__ too.
            found.update(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    return found


def _observes(module: str) -> bool:
    return ".".join(module.split(".")[:2]) in OBSERVERS


@cache
def _parse(path: Path, module: str, scripts: Path) -> tuple[str, frozenset[str]]:
    source, is_package = path.read_bytes(), path.name == "__init__.py"
    key = hashlib.sha256(f"{module} {is_package} ".encode() + source).hexdigest()
    parsed = code_cache(THIS_FILE).get(key)
    if parsed is None:
        tree = ast.parse(source, filename=str(path))
        statements = _statements(tree)
        imports = _imports(statements, module, is_package)
        _remove_docstrings(tree, statements)
        dump = ast.dump(tree, annotate_fields=False)
        parsed = hashlib.sha256(dump.encode()).hexdigest(), sorted(imports)
        code_cache(THIS_FILE).put(key, parsed)
    digest, names = parsed
    known = frozenset(name for name in names if _module_file(scripts, name) and not _observes(name))
    return digest, known


@cache
def _assets(folder: Path, scripts: Path) -> dict[str, str]:
    """Digest of each asset in a folder, the same on systems with other line endings."""
    return {
        path.relative_to(scripts).as_posix(): hashlib.sha256(
            path.read_bytes().replace(b"\r\n", b"\n")
        ).hexdigest()
        for path in folder.iterdir()
        if path.suffix in ASSETS
    }


def code_modules(program: str, part: str | None = None, scripts: Path = SCRIPTS) -> dict[str, str]:
    """Digest of each source a job consists of.

    Args:
        program: name of a program in `scripts`, without `.py`.
        part: the module of the package that the program imports by name for this job, such as
            `figures.heads`; None for a program that always does the same.
        scripts: folder that holds the programs and the package.

    Returns:
        Dotted module name (the program's own name for the program itself) to hexadecimal SHA-256
        of its syntax tree: the program, its part and all modules that they import transitively; and
        path below `scripts`, such as `layerscope/page/page.js`, to SHA-256 of each asset beside
        such a module.

    Raises:
        FileNotFoundError: there is no such program, or no such part.
    """
    path = scripts / f"{program}.py"
    if not path.is_file():
        raise FileNotFoundError(f"no program {path}")
    digest, waiting = _parse(path, program, scripts)
    digests = {program: digest}
    modules = sorted(waiting)
    if part is not None:
        if _module_file(scripts, f"{PACKAGE}.{part}") is None:
            raise FileNotFoundError(f"no module {PACKAGE}.{part} in {scripts}")
        # Importing a.b.c runs a/__init__ and a/b/__init__ too.
        names = [PACKAGE, *part.split(".")]
        modules += [".".join(names[:depth]) for depth in range(1, len(names) + 1)]
    while modules:
        module = modules.pop()
        if module in digests:
            continue
        file = _module_file(scripts, module)
        assert file is not None  # _parse keeps only modules that exist
        digests[module], imported = _parse(file, module, scripts)
        digests |= _assets(file.parent, scripts)
        modules.extend(sorted(imported))
    code_cache(THIS_FILE).save()
    return dict(sorted(digests.items()))


def code_digest(program: str, part: str | None = None, scripts: Path = SCRIPTS) -> str:
    """One short digest (16 hexadecimal digits) of everything in `code_modules`."""
    return digest_of(code_modules(program, part, scripts))


def digest_of(modules: Mapping[str, str]) -> str:
    """The same of what `code_modules` gave."""
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(modules.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
