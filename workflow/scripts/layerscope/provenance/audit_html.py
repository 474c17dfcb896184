"""An audit as a page for people: one HTML file that opens offline, without scripts."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from layerscope.core.errors import UserError
from layerscope.provenance.audit import Audit, Part
from layerscope.provenance.audit_text import facts, grouped, settings_of, verdict, when
from layerscope.provenance.checks import Finding
from layerscope.provenance.studies import Kept
from layerscope.run_records.content import Record

_TITLE, _HEAD = "<title>Audit of study ", 1000  # of each page, among its first bytes
#: No script runs, and nothing is loaded but pictures beside the page.
_POLICY = "default-src 'none'; img-src 'self' data: file:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; --line: #d4d8dd; --quiet: #57606a; --good: #0b6b47; --bad: #a3310a; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2024; margin: 0 auto; max-width: 72rem;
  padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f5f6f8; padding: .5rem; margin: .3rem 0; }
a { color: #0a5ca8; } a:focus-visible, summary:focus-visible { outline: 3px solid #0a5ca8; }
.verdict { border-left: .4rem solid; padding: .4rem .8rem; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .quiet { color: var(--quiet); }
.found { color: var(--bad); font-weight: 600; overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top;
  padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; overflow-wrap: normal; }
dl { display: grid; grid-template-columns: minmax(6rem, 11rem) 1fr; gap: .15rem .8rem;
  margin: .3rem 0; } dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
ul.tree, ul.tree ul { list-style: none; margin: 0; padding-left: 1.1rem;
  border-left: 1px solid var(--line); } ul.tree { padding-left: 0; border: 0; }
ul.tree li { margin: .15rem 0; overflow-wrap: anywhere; }
details > summary { cursor: pointer; } section.figure { border-top: 1px solid var(--line); }
section.figure img { max-width: min(100%, 26rem); height: auto; }
.job { border-top: 1px solid var(--line); padding: .3rem 0; }
.scroll { overflow-x: auto; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .3rem; } }
"""


def require_page(file: Path) -> None:
    """Stop where an audit's page would replace something else.

    Args:
        file: where the page is to be written.

    Raises:
        UserError: its folder does not exist, or it exists and is no such page.
    """
    allowed = "allowed: a new file in an existing folder, or the page of an earlier audit"
    if not file.parent.is_dir():
        raise UserError(f"{file}: its folder does not exist; {allowed}")
    if not os.path.lexists(file):
        return
    if file.is_file():
        with file.open("rb") as handle:
            if _TITLE.encode() in handle.read(_HEAD):
                return
    raise UserError(f"{file}: exists and is not the page of an audit; {allowed}")


def page(audit: Audit) -> str:
    """The whole page.

    Args:
        audit: of a study, or of some of its results. The page belongs into the study's folder:
            figures, logs and records are linked from there.
    """
    findings = audit.findings
    jobs = _jobs(audit)
    name = html.escape(audit.study.name)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"{_TITLE}{name}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Where the results of study {name} come from</h1>",
            f'<p class="verdict {"bad" if findings else "good"}">'
            f"{'✗' if findings else '✓'} {html.escape(verdict(audit))}</p>",
            _list(facts(audit)),
            *_findings(findings),
            "<h2>What this audit cannot know</h2>",
            f"<ul>{''.join(f'<li>{html.escape(each)}</li>' for each in audit.unknown)}</ul>",
            *_figures(audit),
            *_job_cards(audit, jobs),
            "</body></html>",
            "",
        ]
    )


def _jobs(audit: Audit) -> list[Kept]:
    """The record of each job, in the order in which the jobs began."""
    first: dict[tuple[str, str, str], Kept] = {}
    for part in audit.parts.values():
        if part.made:
            first.setdefault(_key(part.made.record), part.made)
    return [first[key] for key in sorted(first)]


def _key(record: Record) -> tuple[str, str, str]:
    return record["started"], record["rule"], record["writer"]


def _anchor(record: Record) -> str:
    """Of a job's card."""
    return "-".join(["job", record["rule"], *map(str, record["wildcards"].values())])


def _list(titled: dict[str, str]) -> str:
    rows = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in titled.items())
    return f"<dl>{rows}</dl>"


def _findings(findings: list[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield "<h2>What does not verify</h2><table>"
    yield "<tr><th>What</th><th>Where</th><th>Why</th></tr>"
    for (kind, message), paths in grouped(findings).items():
        first, *others = [f"<code>{html.escape(path)}</code>" for path in paths]
        if others:
            count = f"<summary>and {len(others)} more</summary>"
            first += f"<details>{count}{'<br>'.join(others)}</details>"
        yield (
            f"<tr><td class='found'>{html.escape(kind)}</td>"
            f"<td>{first}</td><td>{html.escape(message)}</td></tr>"
        )
    yield "</table>"


def _figures(audit: Audit) -> Iterator[str]:
    """Each figure with its ancestry as a tree; of a picture's formats, the SVG stands for all."""
    folder = f"results/{audit.study.name}/"
    shown = [path for path in audit.targets if Path(path).suffix == ".svg"]
    if not shown:
        shown = audit.targets
    yield "<h2>Figures, and all they were made from</h2>"
    yield "<p class='quiet'>What a tree already shows is only named when it occurs again.</p>"
    for path in shown:
        stem = html.escape(Path(path).stem)
        yield f'<section class="figure" id="{stem}"><h3>{stem}</h3>'
        if path.endswith(".svg"):
            source = _link(f"./{path.removeprefix(folder)}")
            yield f'<a href="{source}"><img src="{source}" alt="{stem}" loading="lazy"></a>'
        yield "<details><summary>Ancestry</summary><ul class='tree'>"
        yield from _tree(audit, path, audit.parts[path].task)
        yield "</ul></details></section>"


def _tree(audit: Audit, target: str, task: str | None) -> Iterator[str]:
    """The ancestry of a result as nested lists; a chain may be longer than Python can recurse."""
    seen: set[str] = set()
    waiting: list[tuple[str, str]] = [(target, "")]  # a path, or an end of what is open
    while waiting:
        path, end = waiting.pop()
        if end:
            yield end
            continue
        if path in seen:
            yield f"<li><code>{html.escape(path)}</code> <span class='quiet'>(above)</span></li>"
            continue
        seen.add(path)
        inputs = audit.inputs_of(path, task)
        line = _tree_line(path, audit.parts[path])
        if not inputs:
            yield f"<li>{line}</li>"
            continue
        yield f"<li><details open><summary>{line}</summary><ul>"
        waiting.append(("", "</ul></details></li>"))
        waiting += [(each, "") for each in reversed(dict.fromkeys(inputs))]


def _tree_line(path: str, part: Part) -> str:
    line = f"<code>{html.escape(path)}</code> <code class='quiet'>{_digest(part)}</code>"
    if part.made:
        record = part.made.record
        line += f' <a href="#{html.escape(_anchor(record))}">{html.escape(record["rule"])}</a>'
    else:
        line += " raw data"
    return line + _marks(part.findings)


def _link(path: str) -> str:
    """A relative path as an address: whatever it is called, it is no script."""
    return html.escape(quote(os.fsencode(path)))


def _digest(part: Part) -> str:
    return html.escape(str(part.entry.get("sha256", "no digest"))[:12])


def _marks(findings: Iterable[Finding]) -> str:
    kinds = sorted({finding.kind for finding in findings})
    return f" <span class='found'>✗ {html.escape(', '.join(kinds))}</span>" if kinds else ""


def _job_cards(audit: Audit, jobs: list[Kept]) -> Iterator[str]:
    yield "<h2>All jobs</h2>"
    for kept in jobs:
        record = kept.record
        names = " ".join(map(str, record["wildcards"].values()))
        findings = [
            finding
            for output in record["outputs"]
            if output["path"] in audit.parts
            for finding in audit.parts[output["path"]].findings
        ]
        yield (
            '<details class="job"><summary>'
            f"<strong>{html.escape(record['rule'])}</strong> {html.escape(names)} "
            f"<span class='quiet'>{html.escape(when(record))}</span>{_marks(findings)}</summary>"
        )
        # Inside: browsers open what a link leads into.
        yield f'<div id="{html.escape(_anchor(record))}">{_card(audit, kept)}</div></details>'


def _card(audit: Audit, kept: Kept) -> str:
    record = kept.record
    settings = settings_of(record)
    memory = record.get("peak_memory_bytes")
    versions = ", ".join(f"{name} {v}" for name, v in sorted(record["versions"].items()))
    about = {
        "Settings": ", ".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()
        ),
        "Seeds": ", ".join(f"{name} = {seed}" for name, seed in record["seeds"].items()) or "none",
        "Code": f"{record['code']['digest']}, commit {str(record['commit'])[:12]}"
        + (", with edits that were not committed" if record["dirty"] else ""),
        "Versions": versions,
        "Peak memory": f"{memory / 1e6:.0f} MB" if memory else "unknown",
        "Exit code": str(record["exit"]),
        "Lineage": record["lineage"],
    }
    files = _files("Made from", record["inputs"]) + _files("Made", record["outputs"])
    of_record = audit.study.named(kept.file)
    for name, path in (("log", record["log"]["path"]), ("record", of_record)):
        link = f"<a href='{_link(f'../../{path}')}'>{html.escape(path)}</a>"
        files += f"<div class='quiet'>{name}: {link}</div>"
    return f"<pre>{html.escape(record['command'])}</pre>{_list(about)}{files}"


def _files(title: str, entries: list[dict[str, object]]) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(str(entry['path']))}</code></td>"
        f"<td><code>{html.escape(str(entry.get('sha256', 'none')))}</code></td>"
        f"<td>{_size(entry.get('bytes'))}</td></tr>"
        for entry in entries
    )
    return (
        f"<div class='scroll'><table><tr><th>{title}</th><th>SHA-256</th><th>Size</th></tr>"
        f"{rows}</table></div>"
    )


def _size(count: object) -> str:
    return f"{count:,} bytes" if isinstance(count, int) else "none"
