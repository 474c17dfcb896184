"""Memory, time, GPU and disk of a job, from the sizes of its model, inputs and data.

The arithmetic is the usual one: a pass multiplies each sub-word with every weight of the blocks
once (2 operations a weight) and training three times that (Kaplan et al. 2020, appendix B); Adam
keeps four numbers a weight. The rates below are on the slow side, and a job requests
`MARGIN` times what is estimated, so that few jobs are killed; one that is killed asks for as much
again at each further attempt. docs/cluster.md has the formulas in words and how they compare with
measured jobs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from layerscope.config import jobs
from layerscope.config.schema import Model, Study
from layerscope.config.training import FineTuning, PreTraining
from layerscope.core.encodings import encoding
from layerscope.core.variants import parse_variant
from layerscope.resources.computing import (
    CUDA,
    GPU_FROM,
    START_MODEL,
    Needs,
    compute,
    model_mb,
    read_mb,
)
from layerscope.resources.fine_tuned import ANSWERED
from layerscope.resources.information import usable_information
from layerscope.resources.layers import states_of
from layerscope.resources.memory import (
    Memory,
    adapter_parameters,
    of_training,
)
from layerscope.resources.probes import CORE, TORCH, probe_of, sides
from layerscope.resources.rates import EXACT, read_rates
from layerscope.resources.reading import describe_task, weight_change
from layerscope.resources.rows import probed_rows, subwords
from layerscope.resources.scoring import (
    ANALYSED,
    SCORED,
    SMALL,
    START,
    TABLE,
    bag_of_words,
    score_table,
    scored,
)
from layerscope.resources.sizes import ModelSize, Sizes, TaskSize, rows_in

#: MB of activations that are written in a second: a processor encodes them, whatever makes them.
WRITTEN = 300.0
#: Seconds in which the answer of a probe to a test row is read, counted and resampled.
COUNTED = 5e-6
#: How many times faster a GPU has to be than a core for a probe to request one: the cores that come
#: with it do as many probes side by side.
PAYS = 16
#: Rows at most whose similarity is measured, and whose neighbours are, and shuffles of their null
#: (`layerscope.analysis.similarity` and `alignment`).
COMPARED, NEIGHBOURS_OF, SHUFFLED = 10_000, 1_000, 3

#: Rules that no model is run in: MB and seconds, for data sets of up to some 100,000 sentences.
LIGHT: dict[str, tuple[int, float]] = {
    "configuration": (500, 1),
    "prepare_task": (2000, 60),
    "prepare_corpus": (4000, 60),
    "subsample": (1000, 5),
    "sample_for_probes": (1000, 5),
    "fetch_model": (4000, 600),
    "fetch_files": (1000, 60),
    "summary": (2000, 30),
    "explorer": (2000, 30),
    "report_page": (2000, 60),
}
#: The same of all figures.
FIGURE = (1000, 10.0)


def needs(study: Study, sizes: Sizes, rule: str, wildcards: Mapping[str, str]) -> Needs:
    """What a job of a rule needs at its first attempt.

    Args:
        study: the configuration.
        sizes: of its models and tasks.
        rule: name of the rule.
        wildcards: of the job, by name.

    Raises:
        ValueError: a rule that nothing is known of.
    """
    if rule in LIGHT:
        return Needs(*LIGHT[rule])
    if rule in ("part_probes", "part_usable_information"):
        return _probe_table(study, sizes, wildcards["task"], wildcards["model"])
    if rule == "part_error_analysis":
        return Needs(*scored(study, sizes.tasks[wildcards["task"]], wildcards["task"], ANALYSED))
    if rule == "table_scores":
        return Needs(*score_table(study, sizes))
    if rule == "part_weight_change":
        name = wildcards["model"]
        return Needs(TABLE[0], TABLE[1] + weight_change(study, name, sizes.models[name]))
    if rule.startswith(("table_", "part_")):
        return Needs(*TABLE)
    if rule.startswith("figure_"):
        return Needs(*FIGURE)
    if rule == "pretrain":
        name = wildcards["model"]
        training = study.models[name].source.training  # type: ignore[union-attr]
        return _pretrain(sizes.models[name], training)
    task = sizes.tasks[wildcards["task"]]
    if rule == "describe_task":
        memory, seconds = describe_task(study, task)
        return Needs(memory, START_MODEL + seconds)
    if rule == "score":
        return Needs(*scored(study, task, wildcards["task"], SCORED))
    if rule == "baseline":
        return Needs(*bag_of_words(task, study.tasks[wildcards["task"]].kind))
    if rule == "compare_models":
        return _compare(study, sizes, task, wildcards["task"])
    model, size = study.models[wildcards["model"]], sizes.models[wildcards["model"]]
    if rule == "similarity":
        return _similarity(study, size, task, wildcards["task"], layers=states_of(study, size))
    if rule == "finetune":
        settings = jobs.finetuning(study, wildcards["task"], wildcards["model"])
        return _finetune(model, size, task, settings, int(wildcards["percent"]))
    if rule in ("extract_base", "extract_finetuned"):
        return _extract(study, model, size, task, wildcards)
    if rule in ANSWERED:
        return ANSWERED[rule](study, model, size, task, wildcards["task"])
    if rule == "usable_information":
        return Needs(*usable_information(study, size, task, wildcards["task"]))
    if rule == "probe":
        return _probe(study, size, task, wildcards["task"], wildcards["probe"])
    raise ValueError(f"rule {rule!r} has no needs")


def probes_on_gpus(study: Study, sizes: Sizes) -> bool:
    """Whether some probe of a study requests a GPU."""
    return any(
        _probe(study, sizes.models[model], sizes.tasks[task], task, probe).gpu
        for task, entry in study.tasks.items()
        for model in study.models
        for probe in entry.probes
    )


def _train_memory(model: Memory, read: float, trained: float, gpu: int) -> int:
    """MB beside the GPU, or of all where there is none.

    Args:
        model: memory of the device that computes.
        read: MB of the weights as they are read, before any are quantised.
        trained: MB of the weights that are trained, which a checkpoint has.
        gpu: whether it is a GPU: of its states, a checkpoint passes through here.
    """
    if gpu:
        return int(CUDA + read + 3 * trained)
    return int(TORCH + model.total + trained)


def _pretrain(size: ModelSize, settings: PreTraining) -> Needs:
    seen = settings.steps * settings.batch_size * settings.sequence_length
    operations = 6 * seen * (size.body + size.vocabulary * size.width)
    steps = settings.steps * size.layers
    seconds, gpu = compute(operations, steps, START_MODEL, training=True)
    tokens = settings.batch_size * settings.sequence_length
    model = of_training(size, settings, tokens, mixed=_mixed(settings.precision, gpu))
    weights = 4 * size.parameters / 1e6
    memory = _train_memory(model, weights, weights, gpu) + 12 * tokens * size.vocabulary / 1e6
    return Needs(int(memory), seconds, gpu, other_mb=weights, device=model)


def _mixed(precision: str, gpu: int) -> bool:
    """Whether products are in bfloat16; without a GPU, `auto` may be either: the larger counts."""
    return precision == "bfloat16" or (precision == "auto" and gpu > 0)


def _finetune(
    model: Model, size: ModelSize, task: TaskSize, settings: FineTuning, percent: int
) -> Needs:
    length = subwords(task, settings.max_length)
    sample = math.ceil(task.examples["train"] * percent / 100)
    examples = settings.epochs_of(max(sample, 1)) * sample
    held_out = task.examples["validation"]
    # Frozen weights have no gradients to compute; recomputing is another pass.
    each = (4 if model.adapter else 6) + 2 * settings.gradient_checkpointing
    operations = size.body * length * (each * examples + 2 * held_out)
    batches = (examples + held_out) / settings.batch_size * size.layers
    seconds, gpu = compute(operations, batches, START_MODEL, model, training=True)
    device = of_training(
        size, settings, settings.batch_size * settings.max_length,
        adapter=model.adapter, dtype=model.dtype, quantisation=model.quantisation,
        mixed=_mixed(settings.precision, gpu),
    )  # fmt: skip
    trained = device.gradients
    memory = _train_memory(device, read_mb(model, size), trained, gpu)
    return Needs(memory, seconds, gpu, other_mb=trained, device=device.on_each(gpu))


def _extract(
    study: Study, model: Model, size: ModelSize, task: TaskSize, wildcards: Mapping[str, str]
) -> Needs:
    settings, attention, name = study.activations, study.attention, wildcards["task"]
    entry = study.tasks[name]
    views = jobs.views(study, name)
    tuned = parse_variant(wildcards["variant"])[0] > 0
    learned, test = probed_rows(study, task, name)
    in_example = rows_in(entry, task)
    rows = sum(learned) + test
    examples = rows / in_example
    length = subwords(task, settings.max_length)
    encodings = Counter(map(encoding, views))  # views of the same one share a pass
    passes = examples * len(encodings) + (task.examples["test"] if tuned else 0)
    compared = attention.examples * (3 if tuned else 1) if attention else 0
    operations = 2 * size.body * length * (passes + compared)
    # Without a GPU the maps cost more than the products: every entry is read a dozen times.
    operations += 400 * compared * size.layers * size.heads * length**2
    batches = passes * length / settings.batch_tokens * size.layers
    seconds, gpu = compute(operations, batches, START_MODEL, model)

    states = states_of(study, size)
    vector = states * size.width * (2 if settings.dtype == "float16" else 4)
    stored = rows * vector * sum(map(sides, views)) / 1e6
    seconds += stored / WRITTEN
    # Two blocks of vectors in float32 and one as stored, beside the states of a batch and the maps.
    block = 256 * max(in_example, 2) * states * size.width * 14 / 1e6
    block *= max(encodings.values())
    batch = states * size.width * settings.batch_tokens * 8 / 1e6
    held = attention.batch_examples if attention else 0
    maps = 12 * size.layers * size.heads * held * length**2 * 4 / 1e6
    # The variant itself, and what its maps are compared with: adapters of one base share it.
    weights, models = model_mb(model, size), 3 * read_mb(model, size)
    if model.adapter:
        models = 2 * read_mb(model, size)
    if tuned and attention:
        adapter = model.adapter
        weights += 4 * adapter_parameters(size, adapter) / 1e6 if adapter else 2 * weights
    device = Memory(weights / max(gpu, 1), activations=batch + maps)
    memory = (CUDA if gpu else TORCH + batch + maps) + models + block
    measures = attention.examples * (14 if tuned else 4) if attention else 0
    measured = measures * size.layers * size.heads * 8 / 1e6
    return Needs(int(memory), seconds, gpu, activations_mb=stored, other_mb=measured, device=device)


def _similarity(study: Study, size: ModelSize, task: TaskSize, name: str, layers: int) -> Needs:
    """Products of the vectors of two states, in float64, for so many pairs of states a view."""
    views = jobs.views(study, name)
    rows = probed_rows(study, task, name)[1]
    compared = min(rows, COMPARED)
    width = size.width * max(map(sides, views))
    fewer = min(rows, NEIGHBOURS_OF)
    # Singular values of all shuffles, of no more than there are rows; cosines, which are sorted.
    operations = 6 * compared * width**2 + (1 + SHUFFLED) * 12 * min(fewer, width) ** 3
    operations += 4 * fewer**2 * width + 8 * fewer * width * min(fewer, width)
    each = operations / (CORE / 2) + 1e-7 * fewer**2 + rows * width / 1e8
    seconds = len(views) * layers * each
    return Needs(int(SMALL + (8 * rows + 40 * compared) * width / 1e6), START + seconds)


def _compare(study: Study, sizes: Sizes, task: TaskSize, name: str) -> Needs:
    models = sorted(sizes.models.values(), key=lambda size: size.width)
    pairs = len(models) * (len(models) - 1) // 2
    layers = max(states_of(study, size) for size in models)
    return _similarity(study, models[-1], task, name, layers=pairs * layers)


def _probe_table(study: Study, sizes: Sizes, task: str, model: str) -> Needs:
    """Predictions of all probes, counted and resampled a layer at a time."""
    _, test = probed_rows(study, sizes.tasks[task], task)
    variants = len(jobs.all_variants(study)) * len(jobs.probe_rows(study, task))
    fits = sum(1 + study.probes[probe].row_draws for probe in study.tasks[task].probes)
    views = len(jobs.views(study, task)) * fits
    layers = states_of(study, sizes.models[model])
    resamples = 16 * study.statistics.resamples * test / 1e6  # MB, if each row is a group
    return Needs(int(TABLE[0] + resamples), TABLE[1] + COUNTED * test * layers * variants * views)


def _probe(study: Study, size: ModelSize, task: TaskSize, name: str, probe: str) -> Needs:
    learned, test = probed_rows(study, task, name)
    classes = task.labels
    each = [probe_of(study, size, (train, test, classes), name, probe) for train in learned]
    memory = max(cost.mem_mb for cost in each)
    on_core = sum(cost.on_core for cost in each)
    operations = sum(cost.operations for cost in each)
    seconds = START + on_core + operations / (CORE / 2)
    if seconds < GPU_FROM:
        return Needs(memory, seconds)
    rates = read_rates()
    steps = sum(cost.steps for cost in each)
    rate = min(rates.inference, EXACT)
    faster = START_MODEL + on_core + operations / rate + rates.step * steps
    if seconds < PAYS * faster:
        return Needs(memory, seconds)
    further = max(cost.further_mb for cost in each)
    device = Memory(activations=max(cost.gpu_mb for cost in each))
    return Needs(int(memory + further + CUDA - TORCH), faster, 1, device=device)
