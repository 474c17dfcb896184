"""What a GPU does in a second: measured by benchmarks/gpu, or else assumed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from layerscope.core.errors import UserError
from layerscope.core.files import read_json

#: Beside the workflow's code; a workflow that is used without its repository has none.
MEASURED = Path(__file__).resolve().parents[4] / "benchmarks" / "results" / "gpu.json"


#: Operations a second, at most, of products that are not in bfloat16: those of probes. It is what
#: the maker of the H100 states for float32, and for float64 on tensor cores.
EXACT = 6.7e13


@dataclass(frozen=True)
class GpuRates:
    """Rates of one GPU in bfloat16, and where they are from."""

    training: float  # operations a second, forward and back
    inference: float  # operations a second of passes without gradients
    step: float  # seconds that a layer adds to a training step, however small the step is
    batch: float  # seconds that a layer adds to a pass, however small it is
    source: str


#: On the slow side: short sequences fill a GPU badly. A GPU's peak is ten to twenty times as high.
ASSUMED = GpuRates(4e13, 4e13, step=5e-3, batch=5e-3, source="assumed, not measured")


@cache
def read_rates(path: Path = MEASURED) -> GpuRates:
    """Rates of the GPU that the benchmark ran on; `ASSUMED` where it has not run.

    Raises:
        UserError: the file is there and has other contents than the benchmark's.
    """
    if not path.is_file():
        return ASSUMED
    parts, allowed = read_json(path), "allowed: what benchmarks/gpu writes"
    try:
        training, passes = parts["finetuning"], parts["activations"]
        if any("failed" in part or part.get("tiny") for part in (training, passes)):
            return ASSUMED
        (gpu, *_) = training["machine"]["gpus"]
        rates = {name: float(training["rates"][name]) for name in ("training", "step")}
        rates |= {name: float(passes["rates"][name]) for name in ("inference", "batch")}
        if min(rates.values()) <= 0:
            raise ValueError("a rate that is not above 0")
        return GpuRates(**rates, source=f"measured on {gpu['name']}, {training['measured'][:10]}")
    except KeyError as error:
        if error.args[0] in ("finetuning", "activations"):  # these parts have not run yet
            return ASSUMED
        raise UserError(f"{path}: no {error.args[0]!r}; {allowed}") from None
    except (AttributeError, TypeError, ValueError):
        raise UserError(f"{path}: no rates of a GPU; {allowed}") from None
