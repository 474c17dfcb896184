"""What the published grid would take, one seed, on one H100 and on a cluster: a prediction.

Probes, reading and writing count as measured on this machine (paper_probes.py, the results of the
stage `cache`). Passes on a GPU are arithmetic: operations over a share of the processor's peak, and
a time for each step or batch however small it is. Where benchmarks/gpu has measured a GPU, its
rates are taken; else there are two columns, a cautious and a hopeful one, and both say what they
assume.

Jobs go to GPUs and cores as they get free, those with most work behind them first.

    python benchmarks/predict.py                  # benchmarks/results/prediction.json
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from run import HERE, environment

from layerscope.config import jobs
from layerscope.config.load import read_yaml, validate
from layerscope.config.schema import Study
from layerscope.core.variants import parse_variant
from layerscope.resources.computing import START_MODEL
from layerscope.resources.needs import needs
from layerscope.resources.probes import probe_of
from layerscope.resources.rates import ASSUMED as NOT_MEASURED
from layerscope.resources.rates import EXACT, read_rates
from layerscope.resources.rows import probed_rows, subwords
from layerscope.resources.scoring import START
from layerscope.resources.sizes import ModelSize, Sizes, read_sizes

PEAK = 989e12  # operations a second in bfloat16 that the maker of the H100 (SXM) states


@dataclass(frozen=True)
class Assumed:
    """What is not known before it is measured on a GPU."""

    name: str
    training: float  # share of the peak
    inference: float  # the same of passes without gradients
    step: float  # seconds that a layer adds to a training step, however small it is
    batch: float  # the same of a pass


#: A layer starts about 60 kernels in a step forward and back, and the optimiser's; 5 to 20
#: microseconds each.
ASSUMED = (
    Assumed("cautious", training=0.15, inference=0.15, step=2.5e-3, batch=0.8e-3),
    Assumed("hopeful", training=0.45, inference=0.40, step=0.8e-3, batch=0.3e-3),
)


def columns() -> tuple[Assumed, ...]:
    """What the prediction is made with: a measured GPU, or the two assumptions."""
    rates = read_rates()
    if rates is NOT_MEASURED:
        return ASSUMED
    shares = (rates.training / PEAK, rates.inference / PEAK)
    return (Assumed(rates.source, *shares, step=rates.step, batch=rates.batch),)


#: GPUs and cores, by name.
PLACES = {
    "one H100, 16 cores": (1, 16),
    "32 nodes of one H100 and 16 cores": (32, 512),
}


@dataclass
class Job:
    """Something to do on a GPU or on a core, after others."""

    name: str
    seconds: float
    gpu: bool
    after: list[Job] = field(default_factory=list)
    behind: float = 0.0  # seconds of the longest chain that begins here


def finetune_seconds(
    study: Study, sizes: Sizes, task: str, model: str, percent: int, assumed: Assumed
) -> float:
    """A fine-tuning on a GPU."""
    settings = jobs.finetuning(study, task, model)
    size, about = sizes.models[model], sizes.tasks[task]
    length = subwords(about, settings.max_length)
    examples = about.examples["train"] * percent / 100
    held_out = about.examples["validation"]
    steps = math.ceil(examples / settings.batch_size) * settings.epochs
    passes = held_out / settings.batch_size
    return (
        START_MODEL
        + 6 * size.body * length * examples * settings.epochs / (assumed.training * PEAK)
        + 2 * size.body * length * held_out / (assumed.inference * PEAK)
        + size.layers * (steps * assumed.step + passes * assumed.batch)
    )


def extract_seconds(
    study: Study, sizes: Sizes, task: str, model: str, tuned: bool, assumed: Assumed, write: float
) -> float:
    """Activations, attention and predictions of a variant, and writing; `write` is in bytes/s."""
    size, about, settings = sizes.models[model], sizes.tasks[task], study.activations
    views = jobs.views(study, task)
    learned, test = probed_rows(study, about, task)
    train = sum(learned)
    in_example = about.words if study.tasks[task].kind == "ner" else 1
    length = subwords(about, settings.max_length)
    passes = (train + test) / in_example * len(views) + (about.examples["test"] if tuned else 0)
    passes += study.attention.examples * (3 if tuned else 1)
    batches = passes * length / settings.batch_tokens
    batches += study.attention.examples / study.attention.batch_examples * (3 if tuned else 1)
    sides = sum(2 if view == "separate" else 1 for view in views)
    stored = (train + test) * (size.layers + 1) * size.width * 2 * sides
    return (
        START_MODEL
        + 2 * size.body * length * passes / (assumed.inference * PEAK)
        + size.layers * batches * assumed.batch
        + stored / write
    )


def probe_seconds(
    study: Study, sizes: Sizes, task: str, size: ModelSize, probe: str, rates: Mapping[str, float]
) -> float:
    """A probe on all layers and views of a variant, on one core."""
    kind = study.probes[probe].kind
    if study.tasks[task].kind == "ner":
        if kind == "linear":
            one = rates["linear on words"]
        else:
            learned, test = probed_rows(study, sizes.tasks[task], task)
            words = sum(learned) * study.probes[probe].epochs + test / 3  # type: ignore[union-attr]
            one = words / rates["bilstm-crf, words/s"]
        return START + (size.layers + 1) * one
    one = sum(rates[f"{kind}, {view}"] for view in jobs.views(study, task))
    return START + (size.layers + 1) * one


def device_seconds(
    study: Study, sizes: Sizes, task: str, size: ModelSize, probe: str, assumed: Assumed
) -> float:
    """The same probe on a GPU."""
    about = sizes.tasks[task]
    learned, test = probed_rows(study, about, task)
    found = START_MODEL
    for rows in learned:
        cost = probe_of(study, size, (rows, test, about.labels), task, probe)
        found += cost.on_core + cost.operations / min(assumed.inference * PEAK, EXACT)
        found += cost.steps * assumed.step
    return found


def all_jobs(
    study: Study, sizes: Sizes, rates: Mapping[str, Mapping[str, float]], write: float, a: Assumed
) -> list[Job]:
    """All jobs that take long."""
    found: list[Job] = []
    for task in study.tasks:
        for model, size in sizes.models.items():
            for variant in jobs.all_variants(study):
                percent, _ = parse_variant(variant)
                tuned = (percent or 0) > 0
                before = []
                if tuned:
                    took = finetune_seconds(study, sizes, task, model, percent or 0, a)
                    before = [Job("finetune", took, True)]
                took = extract_seconds(study, sizes, task, model, tuned, a, write)
                extracted = Job("extract", took, True, list(before))
                found += [*before, extracted]
                for probe in study.tasks[task].probes:
                    job = {"task": task, "model": model, "variant": variant, "probe": probe}
                    on_gpu = needs(study, sizes, "probe", job).gpu > 0
                    if on_gpu:
                        took = device_seconds(study, sizes, task, size, probe, a)
                    else:
                        own = rates[str(size.width)]
                        took = probe_seconds(study, sizes, task, size, probe, own)
                    found.append(Job(f"probe {probe}", took, on_gpu, [extracted]))
    for job in reversed(found):  # makers stand before their readers
        job.behind = max(job.behind, job.seconds)
        for maker in job.after:
            maker.behind = max(maker.behind, maker.seconds + job.behind)
    return found


def schedule(work: Sequence[Job], gpus: int, cores: int) -> float:
    """Seconds until all is done; a job on a GPU takes a core as well."""
    free = {True: gpus, False: cores}
    waiting = sorted(work, key=lambda job: -job.behind)
    done: set[int] = set()
    running: list[tuple[float, int, Job]] = []
    now, number = 0.0, 0
    while waiting or running:
        for job in list(waiting):
            ready = all(id(maker) in done for maker in job.after)
            if ready and free[False] and (free[True] or not job.gpu):
                free[False] -= 1
                free[True] -= job.gpu
                waiting.remove(job)
                heapq.heappush(running, (now + job.seconds, number, job))
                number += 1
        now, _, ended = heapq.heappop(running)
        done.add(id(ended))
        free[False] += 1
        free[True] += ended.gpu
    return now


def measured_probes(smoke: bool) -> dict[str, Any]:
    """What paper_probes.py finds on one core."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "found.json")
        command = [sys.executable, str(HERE / "paper_probes.py"), "--out", str(out)]
        subprocess.run(
            command + (["--smoke"] if smoke else []),
            env=environment() | dict.fromkeys(threads, "1"),
            check=True,
        )
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def paper_study() -> Study:
    """The published grid with one seed."""
    given = read_yaml(HERE.parent / "config" / "paper.yaml")
    given["variants"]["seeds"] = given["variants"]["seeds"][:1]
    return validate(given | {"references": None})


def predict(rates: Mapping[str, Mapping[str, float]], write: float) -> dict[str, Any]:
    """Times by place and assumption, and what they are made of."""
    study = paper_study()
    sizes = read_sizes(study)
    found: dict[str, Any] = {"jobs": 0, "parts": {}, "places": {}}
    for assumed in columns():
        work = all_jobs(study, sizes, rates, write, assumed)
        found["jobs"] = len(work)
        parts: dict[str, float] = {}
        for job in work:
            parts[job.name] = parts.get(job.name, 0) + job.seconds
        found["parts"][assumed.name] = parts
        for place, (gpus, cores) in PLACES.items():
            found["places"].setdefault(place, {})[assumed.name] = schedule(work, gpus, cores)
        found["places"].setdefault("the longest chain of jobs, however large the cluster", {})[
            assumed.name
        ] = max(job.behind for job in work)
    return found


def main() -> None:
    """Measure, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "prediction.json")
    chosen = parser.parse_args()
    probes = measured_probes(chosen.smoke)
    cache = json.loads((chosen.results / "cache.json").read_text(encoding="utf-8"))
    write = cache["ways"]["write: layerscope"]["rate"]["median"] * 1e6
    rates = dict(zip(("768", "1024"), probes.values(), strict=True))
    found = {
        "assumed": [vars(each) for each in columns()],
        "probes": probes,
        "write": write,
        **predict(rates, write),
    }
    chosen.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found["places"], indent=2))


if __name__ == "__main__":
    os.chdir(HERE.parent)
    main()
