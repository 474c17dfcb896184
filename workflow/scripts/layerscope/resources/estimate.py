"""What a study will cost: its jobs, and their needs added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.resources.memory import Memory
from layerscope.resources.needs import needs
from layerscope.resources.rates import read_rates
from layerscope.resources.sizes import Sizes
from layerscope.resources.submissions import Kind


@dataclass
class Line:
    """The jobs of one rule added up."""

    jobs: int = 0
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    mem_mb: int = 0  # of its largest job
    minutes: int = 0  # requested by its longest job
    disk_mb: float = 0.0  # what stays under the study's own policy
    device: Memory | None = None  # of the model in the job that needs the most of it
    gpus: int = 0  # of that job, which share the model


@dataclass(frozen=True)
class Estimate:
    """The cost of a study: one line per rule, and the disk that each policy `keep` would take."""

    lines: Mapping[str, Line]
    activations_mb: Mapping[str, float]  # by policy, what stays
    temp_mb: float  # activations of the largest variant, that live until its probes are done
    assumed: tuple[str, ...]  # entries of the configuration whose size is not known
    without_maps: str = ""  # which models have no attention maps, and why
    shorter: tuple[str, ...] = ()  # models that read less at once than max_length, and how much


def estimate(
    study: Study, sizes: Sizes, planned: Iterable[tuple[str, Mapping[str, str]]]
) -> Estimate:
    """Add up the needs of the jobs of a study, given by rule and wildcards.

    A job with a GPU counts hours of the GPU and of the one core beside it.
    """
    lines: dict[str, Line] = {}
    policies = ("all", "before-and-after", "none")
    kept = {policy: _kept(study, policy) for policy in policies}
    activations = dict.fromkeys(policies, 0.0)
    largest = 0.0
    for rule, wildcards in planned:
        need = needs(study, sizes, rule, wildcards)
        line = lines.setdefault(rule, Line())
        line.jobs += 1
        line.core_hours += need.seconds / 3600
        line.gpu_hours += need.gpu * need.seconds / 3600
        line.mem_mb = max(line.mem_mb, need.mem_mb)
        line.minutes = max(line.minutes, need.minutes)
        line.disk_mb += need.other_mb
        if need.device and need.device.total > (line.device.total if line.device else 0):
            line.device, line.gpus = need.device, need.gpu
        if need.activations_mb:
            variant = wildcards["variant"]
            largest = max(largest, need.activations_mb)
            for policy in policies:
                activations[policy] += need.activations_mb if variant in kept[policy] else 0
            if variant in kept[study.activations.keep]:
                line.disk_mb += need.activations_mb
    assumed = [f"models.{name}" for name, size in sizes.models.items() if size.assumed]
    assumed += [f"tasks.{name}" for name, size in sizes.tasks.items() if size.assumed]
    shorter = tuple(_shorter(study, sizes))
    return Estimate(lines, activations, largest, tuple(assumed), without_maps(sizes), shorter)


def without_maps(sizes: Sizes) -> str:
    """Which models have no attention maps, and why, in a sentence; empty if none is known."""
    models = [
        f"{name} ({size.why_no_maps})" for name, size in sizes.models.items() if size.why_no_maps
    ]
    if not models:
        return ""
    return (
        "Attention and masked heads are not applicable to models without attention maps: "
        f"{', '.join(models)}."
    )


def _shorter(study: Study, sizes: Sizes) -> Iterator[str]:
    """Models that read less at once than the study asks for, and what asks for more."""
    for name, size in sizes.models.items():
        asked = {"activations": study.activations.max_length} | {
            f"fine-tuning on {task}": jobs.prediction_limit(study, task, name)
            for task in study.tasks
        }
        more = [
            f"{what} {length}" for what, length in asked.items() if length > (size.limit or length)
        ]
        if more:
            yield f"{name} {size.limit} ({', '.join(more)})"


def _kept(study: Study, keep: str) -> set[str]:
    policy = study.activations.model_copy(update={"keep": keep})
    return set(jobs.kept_variants(study.model_copy(update={"activations": policy})))


def in_words(study: Study, found: Estimate) -> str:
    """The estimate as text for a terminal."""
    titles = ("rule", "jobs", "core-hours", "GPU-hours", "most memory", "most time", "disk")
    rows = [
        (
            rule, f"{line.jobs:,}", hours_text(line.core_hours), hours_text(line.gpu_hours),
            size_text(line.mem_mb), f"{line.minutes:,} min", size_text(line.disk_mb),
        )
        for rule, line in found.lines.items()
    ]  # fmt: skip
    lines = found.lines.values()
    rows.append(
        (
            "total", f"{sum(line.jobs for line in lines):,}",
            hours_text(sum(line.core_hours for line in lines)),
            hours_text(sum(line.gpu_hours for line in lines)),
            size_text(max(line.mem_mb for line in lines)),
            f"{max(line.minutes for line in lines):,} min",
            size_text(sum(line.disk_mb for line in lines)),
        )
    )  # fmt: skip
    table = aligned([titles, *rows])
    table.insert(-1, "-" * len(table[0]))
    policies = ", ".join(f"{name} {size_text(mb)}" for name, mb in found.activations_mb.items())
    text = [
        f"Study '{study.study}': the cost of all jobs, finished or not.",
        "",
        *table,
        "",
        "Memory and time are what the largest job of a rule requests by itself at its first",
        "attempt; time is three times the estimate and ten minutes. Hours are the estimate itself,",
        "on a slow core.",
        f"GPU rates: {read_rates().source}.",
        "",
        *_memory_in_words(found),
        f"Activations kept, by activations.keep: {policies}.",
        f"This study: {study.activations.keep}. Until its probes are done, a variant takes up to "
        f"{size_text(found.temp_mb)} in any case.",
    ]
    if found.shorter:
        text.append(
            "Models that read fewer sub-words at once than a max_length: "
            f"{', '.join(found.shorter)}."
        )
    if found.without_maps:
        text.append(found.without_maps)
    if found.assumed:
        text.append(f"Sizes that are not known yet were assumed: {', '.join(found.assumed)}.")
    return "\n".join(text)


def _memory_in_words(found: Estimate) -> list[str]:
    """What memory is for, of the largest job of each rule that runs a model."""
    rows = [
        (
            rule, ("core", "GPU")[line.gpus] if line.gpus < 2 else f"each of {line.gpus} GPUs",
            *map(size_text, (each.weights, each.gradients, each.optimiser, each.activations)),
            size_text(each.total),
        )
        for rule, line in found.lines.items()
        if (each := line.device)
    ]  # fmt: skip
    if not rows:
        return []
    titles = ("memory of a model", "on", "weights", "gradients", "optimiser", "activations", "all")
    note = "Activations are those of a whole batch, which is halved where they do not fit."
    return [*aligned([titles, *rows]), "", note, ""]


def submitted_in_words(found: Sequence[Kind]) -> str:
    """What a scheduler would be sent, as text for a terminal: one row for each kind of job."""
    if not found:
        return "Jobs to submit: none, all have run."
    last = len(found[0].minutes)
    titles = ("job or group", "count", "jobs in it", "time", f"at attempt {last}", "memory", "GPU",
              "partition")  # fmt: skip
    rows = [
        (
            kind.name, f"{kind.count:,}", f"{kind.jobs:,}", f"{kind.minutes[0]:,} min",
            f"{kind.minutes[-1]:,} min", size_text(kind.mem_mb[0]), f"{kind.gpus}",
            ", ".join(kind.partitions) or "not chosen here",
        )
        for kind in found
    ]  # fmt: skip
    total = sum(kind.count for kind in found)
    return "\n".join(
        [
            f"Jobs to submit now: {total:,}. A group is one job of the scheduler, and its jobs run",
            "one after the other. Time, memory and GPUs are what the largest of a kind requests.",
            "",
            *aligned([titles, *rows]),
        ]
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, the first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def hours_text(hours: float) -> str:
    """Hours, rounded, for a table."""
    return f"{hours:,.1f}" if hours >= 0.05 else ("0" if hours == 0 else "<0.1")


def size_text(mb: float) -> str:
    """Megabytes in the unit that suits them."""
    if mb >= 1e6:
        return f"{mb / 1e6:,.1f} TB"
    if mb >= 1000:
        return f"{mb / 1000:,.1f} GB"
    return f"{mb:,.0f} MB" if mb >= 0.5 else ("0" if mb == 0 else "<1 MB")
