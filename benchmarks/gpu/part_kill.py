"""Training that is killed and resumed: the same weights to the bit, or the reason why not.

Two undisturbed runs tell whether the device gives the same bits twice at all. If it does not, a
resumed run cannot be asked to either, and the losses are compared in place of the weights.
"""

from __future__ import annotations

import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import common
from common import Row, Setting, row
from jobs import Job

STEPS, KILLED = 60, "step 20 of"


def run(setting: Setting) -> dict[str, Any]:
    """Train four times side by side, kill two of them, resume these."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), setting, STEPS)
        whole = [job.start(name) for name in ("one", "two")]
        # SIGTERM saves by itself; SIGKILL leaves what was saved before it.
        told = job.start("told", seconds=1000)
        shot = job.start("shot", seconds=0)
        with ThreadPoolExecutor() as threads:
            kills = [
                threads.submit(each.kill_at, KILLED, how)
                for each, how in ((told, signal.SIGTERM), (shot, signal.SIGKILL))
            ]
            codes = [each.result() for each in kills]
        for each in whole:
            each.finish()
        resumed = [job.start("told", seconds=1000), job.start("shot", seconds=0)]
        for each in resumed:
            each.finish()
        continued = ["resuming after step" in each.log.read_text() for each in resumed]
        digests = {name: job.digest(name) for name in ("one", "two", "told", "shot")}
        losses = {name: job.losses(name) for name in digests}
    same = digests["one"] == digests["two"]
    rows = [
        row("undisturbed twice: the same weights", "yes" if same else "no: the device's kernels "
            "add in another order each time", goal="to the bit"),
        row("exit code after SIGTERM", codes[0], goal="143", ok=codes[0] == 143),
        row("exit code after SIGKILL", codes[1], goal="-9", ok=codes[1] == -9),
    ]  # fmt: skip
    for place, name in enumerate(("told", "shot")):
        signal_name = "SIGTERM" if name == "told" else "SIGKILL"
        rows.append(
            row(f"{signal_name}: goes on at its checkpoint", "yes" if continued[place] else "no",
                ok=continued[place])
        )  # fmt: skip
        rows += compared(signal_name, same, digests, losses, name)
    return {"rows": rows}


def compared(
    signal_name: str, same: bool, digests: dict[str, str], losses: dict[str, Any], name: str
) -> list[Row]:
    """A resumed run against an undisturbed one."""
    equal = digests[name] == digests["one"]
    pairs = zip(losses[name], losses["one"], strict=True)
    far = max(abs(a - b) for a, b in pairs)
    spread = max(abs(a - b) for a, b in zip(losses["two"], losses["one"], strict=True))
    ok = equal if same else far <= max(3 * spread, 1e-2)
    return [
        row(f"{signal_name}: the same weights", "yes" if equal else "no", ok=ok,
            goal="to the bit" if same else "not where two undisturbed runs differ"),
        row(f"{signal_name}: largest difference of a loss", far,
            goal=f"two undisturbed runs: {spread:.2g}"),
    ]  # fmt: skip


if __name__ == "__main__":
    common.main(run)
