"""What a record says, against others that know it: the record itself, the commit, what was made.

Who edits a record can forge its digest too. What follows from something else has to be forged
there as well; what nothing else knows is in `ONLY_RECORDED`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from layerscope.core.code import digest_of
from layerscope.core.wording import few
from layerscope.provenance.present import Code
from layerscope.run_records.content import Record, package_of
from layerscope.run_records.recorder import CLOCKS, options_of, seeds_of

#: What an audit cannot know, for readers of its result.
ONLY_RECORDED = (
    "Only the records say which user and machine ran a job, how long it took, how much memory it "
    "needed, and which versions of most packages it used: anyone who edits a record and forges its "
    "digest can change these.",
    "Anyone who forges a result, its record, and every record and figure above it is found out "
    "only by comparing the lineage with that in a copy of the figure that someone else has kept.",
    "A digest shows that a file is the one that a job left, not that the job computed what its "
    "code says: only running it again can show that.",
)
#: Packages that write their version into what they make, by ending.
_SIGNED = {
    ".parquet": ("pyarrow", re.compile(rb"parquet-cpp-arrow version ([\w.]+)")),
    ".svg": ("matplotlib", re.compile(rb"Matplotlib v([\w.]+),")),
    ".pdf": ("matplotlib", re.compile(rb"/Creator \(Matplotlib v([\w.]+),")),
    ".png": ("matplotlib", re.compile(rb"Software\0Matplotlib version([\w.]+),")),
}
_TAIL = 65_536  # bytes; Parquet ends with who wrote it


def contradictions(record: Record) -> Iterator[str]:
    """What a record says in two places, and differently, as only an edit explains."""
    words = shlex.split(record["command"])
    if words[:1] != ["python"] or Path(*words[1:2]).stem != record["program"]:
        yield f"its command does not call {record['program']}"
    elif options_of(words[2:]) != record["parameters"]:
        yield "its parameters are not those of its command"
    if seeds_of(record["parameters"]) != record["seeds"]:
        yield "its seeds are not those among its parameters"
    paths = " ".join(output["path"] for output in record["outputs"])
    for name, value in record["wildcards"].items():
        if value not in paths:
            yield f"its {name} is {value}, which does not occur in the names of its outputs"
    for entry in record["inputs"]:
        package = package_of(entry)
        version = str(entry["path"]).split()[-1]
        if package and record["versions"].get(package, version) != version:
            yield f"it read {entry['path']} but had {record['versions'][package]}"
    if record["exit"] is not None:
        host = record["machine"]["host"]
        if _host(record) != host.replace(".", "-"):
            yield f"it ran on {host} but was written by {record['writer']}"


def disagreements(record: Record) -> Iterator[str]:
    """The same where a clock that is wrong, or code that changed meanwhile, may be the cause."""
    if digest_of(record["code"]["modules"]) != record["code"]["digest"]:
        yield "the digest of its code does not follow from its modules"
    if record["exit"] is None:
        return
    started, ended = seconds(record["started"]), seconds(record["ended"])
    if ended < started:
        yield f"it ended {record['ended']}, before it began {record['started']}"
    for output in record["outputs"]:
        # Of a folder, its latest file: others may stem from a download that was interrupted.
        made = output.get("modified_ns")
        if made is not None and not started - CLOCKS <= made / 1e9 <= ended + CLOCKS:
            yield (
                f"it ran from {record['started']} to {record['ended']}, and {output['path']} was "
                "made at another time"
            )


def _host(record: Record) -> str:
    """Where a job ran, with dashes for dots."""
    return str(record["writer"]).rpartition("-")[0]


def seconds(text: str) -> float:
    """A time of a record since 1970, which two times of any years can be compared by."""
    return datetime.fromisoformat(text).timestamp()


def is_older(record: Record, maker: Record) -> bool:
    """Whether a job began before the one that made its input had ended, or ended before it began.

    The latter holds to the second on one machine: so is an input found that was made again alone.
    """
    apart = 0 if _host(record) == _host(maker) else CLOCKS
    if record["ended"] and seconds(record["ended"]) < seconds(maker["started"]) - apart:
        return True
    return bool(maker["ended"]) and seconds(record["started"]) < seconds(maker["ended"]) - CLOCKS


def other_writer(there: Path, record: Record) -> str | None:
    """Whether a table or figure was written by another version of a package than recorded.

    Args:
        there: a file that was found to be what its job left.
        record: of that job.
    """
    package, pattern = _SIGNED.get(there.suffix, (None, None))
    if package is None or pattern is None or package not in record["versions"]:
        return None
    with there.open("rb") as handle:
        if there.suffix == ".parquet":
            handle.seek(max(0, there.stat().st_size - _TAIL))
        found = pattern.findall(handle.read())
    if not found or found[-1].decode() == record["versions"][package]:
        return None
    said = record["versions"][package]
    return f"it says {package} {said}, and {there.name} was written by {found[-1].decode()}"


def other_commit(record: Record, code: Code) -> str | None:
    """Whether the commit that a record names has other code than the record.

    Says nothing of jobs with edits, of commits that are not at hand, or where Python's minor
    version is another, with which syntax trees differ.
    """
    if record["commit"] is None or record["dirty"] is not False or not code.reads(record):
        return None
    then = code.at(record["commit"])
    if then is None:
        return None
    said, had = record["code"]["modules"], then.modules(record["program"], record.get("part"))
    names = [name for name in sorted(said.keys() | had.keys()) if said.get(name) != had.get(name)]
    if not names:
        return None
    return f"it says commit {record['commit'][:12]} without edits, which has other code: " + few(
        names
    )
