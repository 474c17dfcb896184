"""Training that is killed and resumed: the same weights to the bit, or the reason why not.

Two undisturbed runs tell whether the device gives the same bits twice at all. If it does not, a
resumed run cannot be asked to either, and the losses are compared in place of the weights.
"""

from __future__ import annotations

import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import common
from common import Row, Setting, row
from jobs import Job

STEPS, KILLED = 60, "step 20 of"


class Way(NamedTuple):
    """A way to end a training."""

    sent: signal.Signals
    seconds: float  # between checkpoints
    code: int  # that the program then ends with


#: SIGTERM saves by itself; SIGKILL leaves what was saved before it.
WAYS = (Way(signal.SIGTERM, 1000, 143), Way(signal.SIGKILL, 0, -9))


def run(setting: Setting) -> dict[str, Any]:
    """Train two times undisturbed and once for each signal, side by side; kill these, resume them.

    At tiny shapes one is trained undisturbed, and SIGKILL alone is tried.
    """
    ways, undisturbed = (WAYS[1:], ("one",)) if setting.tiny else (WAYS, ("one", "two"))
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), setting, STEPS)
        whole = [job.start(name) for name in undisturbed]
        hurt = [job.start(way.sent.name, seconds=way.seconds) for way in ways]
        with ThreadPoolExecutor() as threads:
            kills = [
                threads.submit(each.kill_at, KILLED, way.sent)
                for each, way in zip(hurt, ways, strict=True)
            ]
            codes = [each.result() for each in kills]
        resumed = [job.start(way.sent.name, seconds=way.seconds) for way in ways]
        for each in [*whole, *resumed]:
            each.finish()
        continued = ["resuming after step" in each.log.read_text() for each in resumed]
        digests = {name: job.digest(name) for name in (*undisturbed, *(w.sent.name for w in ways))}
        losses = {name: job.losses(name) for name in digests}
    same = digests["one"] == digests[undisturbed[-1]]
    rows = []
    if len(undisturbed) > 1:
        found = "yes" if same else "no: the device's kernels add in another order each time"
        rows.append(row("undisturbed twice: the same weights", found, goal="to the bit"))
    for way, code, went_on in zip(ways, codes, continued, strict=True):
        name = way.sent.name
        rows += [
            row(f"exit code after {name}", code, goal=str(way.code), ok=code == way.code),
            row(f"{name}: goes on at its checkpoint", "yes" if went_on else "no", ok=went_on),
            *compared(name, undisturbed[-1], digests, losses),
        ]
    return {"rows": rows}


def compared(name: str, last: str, digests: dict[str, str], losses: dict[str, Any]) -> list[Row]:
    """A resumed run against the first undisturbed one, and that against the last one."""
    equal, same = (digests[run] == digests["one"] for run in (name, last))
    pairs = zip(losses[name], losses["one"], strict=True)
    far = max(abs(a - b) for a, b in pairs)
    spread = max(abs(a - b) for a, b in zip(losses[last], losses["one"], strict=True))
    ok = equal if same else far <= max(3 * spread, 1e-2)
    return [
        row(f"{name}: the same weights", "yes" if equal else "no", ok=ok,
            goal="to the bit" if same else "not where two undisturbed runs differ"),
        row(f"{name}: largest difference of a loss", far,
            goal=f"two undisturbed runs: {spread:.2g}"),
    ]  # fmt: skip


if __name__ == "__main__":
    common.main(run)
