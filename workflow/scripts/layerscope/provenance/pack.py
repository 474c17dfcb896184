"""One archive of a finished study that somebody else can verify: results, records and programs.

What is large is left out and known by the digests in the records. `pack.json` says so to the audit,
which is in the archive with the other programs. The same study always gives the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from layerscope.config.targets import REPORT
from layerscope.core.code import SCRIPTS
from layerscope.core.errors import UserError
from layerscope.core.files import sha256_file, sha256_text, whole_file
from layerscope.core.wording import few
from layerscope.provenance.checks import check_raw
from layerscope.provenance.comparison.contents import commits
from layerscope.provenance.elsewhere import is_caption
from layerscope.provenance.finished import check_outputs, finished_jobs, job_name
from layerscope.provenance.present import Code, python_of
from layerscope.provenance.studies import PACKED, Kept, Study
from layerscope.run_records.content import output_entry

_README = """\
Study {study}, made by the workflow layerscope{address}, commit: {commits}.

To verify it, unzip the archive and go to this folder.

1. Every file is as it was packed:

       sha256sum --check --quiet SHA256SUMS

2. Every table, figure and page is what its job left; the records of all jobs down to the raw data
   agree with one another; and the programs here are those that made the results. This needs
   Python 3.11 or newer and two packages. Only Python {python}, which made the results, can
   compare the programs; with any other, the audit says so where it says what it cannot know
   (--tree):

       python -m pip install pydantic pyyaml
       python workflow/scripts/audit.py results/{study}

   For one figure: python workflow/scripts/audit.py results/{study}/figures/NAME.svg --tree

This cannot detect somebody who forged everything at once. Compare the digest of the archive with
one that its maker gave you, or the lineage in a published figure with that of the figure here.

Models, data, activations, predictions, logs, configuration files and the packages that data comes
from are left out; digests of all but the configuration are in the records. All settings are in
results/{study}/config.json.
"""
_SOURCES = (
    "Snakefile",
    "CITATION.cff",
    "LICENSE",
    "requirements.txt",
    "requirements.lock",
    "constraints.txt",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(
    study: Study, targets: Sequence[str], out: Path, workflow: Path = SCRIPTS.parent.parent
) -> str:
    """Write the archive of a finished study, with its report if there is one and it is up to date.

    Args:
        study: with its records.
        targets: files that the study gives, as paths from its root.
        out: ZIP file to write.
        workflow: the checkout, whose programs go in.

    Returns:
        Whether the report is in it, in a sentence.

    Raises:
        UserError: the study is not finished, is not what its records say, or was made by other
            programs than those of the checkout.
    """
    code = Code(workflow / "workflow" / "scripts", None)
    jobs = _checked_jobs(study, targets, code)
    report = f"results/{study.name}/{REPORT}"
    said = f"{REPORT} is in it."
    try:
        jobs = _checked_jobs(study, [*targets, report], code)
        targets = [*targets, report]
    except UserError as error:
        said = f"{REPORT} is not in it ({error}). To include it, run `snakemake report` first."
    records = {
        study.named(study.made[output["path"]].file): study.made[output["path"]].file
        for kept in jobs
        for output in kept.record["outputs"]
    }
    results = {path: study.place(path) for path in targets}
    for path, file in results.items():
        entry = output_entry(study.made[path].record, path) or {}
        if sha256_file(file) != entry.get("sha256"):
            raise UserError(f"{file}: not what its run record says; allowed: no edits")
    files = {**results, **records, **dict(_sources(workflow))}
    left_out = {"left_out": sorted(_named(study, jobs) - results.keys())}
    texts = {
        f"results/{study.name}/{PACKED}": json.dumps(left_out, indent=1, ensure_ascii=False) + "\n",
        "README.txt": _README.format(
            study=study.name,
            commits=", ".join(commits(kept.record for kept in jobs)),
            python=" or ".join(sorted({python_of(kept.record) for kept in jobs})),
            address=_address(workflow / "CITATION.cff"),
        ),
    }
    with whole_file(out) as partial:
        _write(partial, study.name, files, texts)
    return said


def pack_and_say(study: Study, targets: Sequence[str], out: Path) -> str:
    """Write the archive, as `pack` does; what was written, in two lines."""
    said = pack(study, targets, out)
    size = out.stat().st_size / 1e6
    return (
        f"{out}: {size:.1f} MB, sha256 {sha256_file(out)}\n"
        f"{said} Its README.txt says how to verify it."
    )


def _checked_jobs(study: Study, targets: Sequence[str], code: Code) -> list[Kept]:
    """The jobs that made the targets; stops where one of them is out of date."""
    jobs = finished_jobs(study, targets)
    check_outputs(study.root, jobs)
    _check_code(jobs, code)
    read = [entry for kept in jobs for entry in kept.record["inputs"]]
    for entry in read:
        if is_caption(study, entry["path"]):
            for finding in check_raw(entry, study, "the caption"):
                raise UserError(f"{finding.path}: {finding.message}")
    return jobs


def _check_code(jobs: Iterable[Kept], code: Code) -> None:
    for kept in jobs:
        record = kept.record
        if not code.reads(record):
            continue
        then, now = record["code"]["modules"], code.modules(record["program"], record.get("part"))
        other = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        if other:
            raise UserError(
                f"{job_name(record)}: made by code that differs from this checkout's "
                f"({few(other)}); allowed: the commit that made it "
                f"({record['commit'] or 'unknown'}), or a study that was run again"
            )


def _sources(workflow: Path) -> Iterator[tuple[str, Path]]:
    for name in _SOURCES:
        if (workflow / name).is_file():
            yield name, workflow / name
    for file in sorted((workflow / "workflow").rglob("*")):
        inside = file.relative_to(workflow)
        hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
        if file.is_file() and not hidden:
            yield inside.as_posix(), file


def _named(study: Study, jobs: Iterable[Kept]) -> set[str]:
    """All that records name and an audit would look for."""
    found = {f"logs/{study.name}"}
    for kept in jobs:
        record = kept.record
        found |= {entry["path"] for entry in (*record["inputs"], *record["outputs"])}
        found.add("/".join(str(record["log"]["path"]).split("/")[:2]))
        found.update((record.get("configuration") or {}).get("files", ()))
    return found


def _address(citation: Path) -> str:
    """Where the workflow is published, if CITATION.cff says it."""
    try:
        found = yaml.safe_load(citation.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    address = found.get("repository-code") if isinstance(found, dict) else None
    return f" ({address})" if address else ""


def _write(archive: Path, top: str, files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """Write the ZIP file: in the order of names, without times, all below one folder."""
    digests = {name: sha256_file(file) for name, file in files.items()}
    digests |= {name: sha256_text(text) for name, text in texts.items()}
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in sorted({**texts, "SHA256SUMS": sums}.items()):
            packed.writestr(_member(f"{top}/{name}"), text)
        for name in sorted(files):
            member = _member(f"{top}/{name}")
            with files[name].open("rb") as source, packed.open(member, "w") as target:
                while block := source.read(1 << 20):
                    target.write(block)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member
