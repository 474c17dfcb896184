"""What the jobs that change a fine-tuned model, or read it, need; and those that describe one."""

from __future__ import annotations

import math

from layerscope.config.schema import Model, Study
from layerscope.resources import lens
from layerscope.resources.computing import CUDA, START_MODEL, Needs, compute, model_mb, read_mb
from layerscope.resources.memory import Memory
from layerscope.resources.probes import CORE, TORCH, fit
from layerscope.resources.rows import probed_rows, subwords
from layerscope.resources.sizes import ModelSize, TaskSize, rows_in

#: Examples at most whose gradients are taken, and by what their batches are smaller than those of
#: other passes (`layerscope.analysis.head_importance`).
WEIGHED, SMALLER = 500, 4
#: Sub-words at most of a pass without a GPU (`layerscope.models.forward`).
PROCESSOR_TOKENS = 1024


def intervene(study: Study, model: Model, size: ModelSize, task: TaskSize, name: str) -> Needs:
    """Each set of heads masked, and four erasures of each layer."""
    settings, passing = study.interventions, study.activations
    # Each fraction of heads, and once more with means; four erasures of a layer.
    masked = 0
    if settings and study.attention:
        masked = (len(settings.head_shares) + 1) * (2 + settings.random_draws)
    rows = rows_in(study.tasks[name], task)
    test = min(task.examples["test"], (settings and settings.examples) or math.inf)
    # Means of heads, erasers and their sizes from all reference rows; checks on some test rows.
    reference = probed_rows(study, task, name)[0][0] / rows
    reference = 3 * reference + min(test, 2000)
    length = subwords(task, passing.max_length)
    # With a layer erased, or its control, only what comes after it is computed: half on average.
    passes = reference + test * (1 + masked + 2 * size.layers)
    batches = (reference + test * (1 + masked + 4 * size.layers)) * length / passing.batch_tokens
    batches *= size.layers
    fitted = 4 * size.layers * 30 * size.width**3  # matrices of the erasers, in float64
    probed = 9 * size.layers * 2 * fit(1000, size.width, task.labels, chosen=False)
    operations = 2 * size.body * length * passes + fitted + probed
    seconds, gpu = compute(operations, batches, START_MODEL, model)
    batch = 2 * size.layers * size.width * passing.batch_tokens * 4 / 1e6
    statistics = (4 * size.layers / max(gpu, 1) + 8) * size.width**2 * 8 / 1e6
    statistics += 2000 * size.layers * size.width * 8 / 1e6  # vectors that probes read
    answers = (1 + masked + 4 * size.layers) * test * rows * 100 / 1e6
    weights = model_mb(model, size)
    device = Memory(weights / max(gpu, 1), activations=batch + statistics)
    memory = (CUDA if gpu else TORCH + batch + statistics) + answers
    memory += 2 * read_mb(model, size)
    return Needs(int(memory), seconds, gpu, device=device)


def patch(study: Study, model: Model, size: ModelSize, task: TaskSize, name: str) -> Needs:
    """Of most mixtures of two models' layers only what comes after the first that differs."""
    settings, passing = study.interventions, study.activations
    test = min(task.examples["test"], (settings and settings.examples) or math.inf)
    mixtures, length = 4 * size.layers + 3, subwords(task, passing.max_length)
    operations = 2 * size.body * length * test * (2 * size.layers + 7)
    batches = mixtures * test * length / passing.batch_tokens * size.layers
    seconds, gpu = compute(operations, batches, START_MODEL, model)
    batch = 4 * size.layers * size.width * passing.batch_tokens * 4 / 1e6
    # A whole model beside that of before, and a mixture of both; an adapter beside its base.
    weights = model_mb(model, size) + (0 if model.adapter else 2 * read_mb(model, size))
    memory = CUDA if gpu else TORCH + batch + weights
    memory += mixtures * test * rows_in(study.tasks[name], task) * 100 / 1e6
    device = Memory(weights / max(gpu, 1), activations=batch)
    return Needs(int(memory + 2 * read_mb(model, size)), seconds, gpu, device=device)


def head_lens(study: Study, model: Model, size: ModelSize, task: TaskSize, name: str) -> Needs:
    """Translators of each layer, and the head put on each."""
    settings, passing = study.interventions, study.activations
    rows, length = rows_in(study.tasks[name], task), subwords(task, passing.max_length)
    test = min(task.examples["test"], (settings and settings.examples) or math.inf)
    learned = probed_rows(study, task, name)[0][0]
    work = lens.head_lens(size, rows, learned, test, length, passing.batch_tokens)
    seconds, gpu = compute(work.operations, work.batches, START_MODEL, model)
    device = Memory(model_mb(model, size) / max(gpu, 1), activations=work.device_mb)
    memory = (CUDA if gpu else TORCH + work.device_mb) + work.memory_mb + 2 * read_mb(model, size)
    return Needs(int(memory), seconds, gpu, device=device)


def head_importance(
    study: Study, model: Model, size: ModelSize, task: TaskSize, name: str
) -> Needs:
    """A pass and a pass back over some reference rows; frozen weights have no gradients."""
    passing = study.activations
    rows, length = rows_in(study.tasks[name], task), subwords(task, passing.max_length)
    asked = min(probed_rows(study, task, name)[0][0] / rows, WEIGHED)
    tokens = passing.batch_tokens / SMALLER
    batches = 2 * asked * length / tokens * size.layers
    seconds, gpu = compute(4 * size.body * length * asked, batches, START_MODEL, model)
    # Of each block what the way back needs (`of_training`), and what heads give, twice.
    kept = 5 * size.width + 4 * size.query + 2 * size.key_value
    kept += (4 if size.gated else 2) * size.inner
    tokens = max(tokens if gpu else min(tokens, PROCESSOR_TOKENS), passing.max_length)
    batch = size.layers * kept * tokens * 4 / 1e6
    weights = model_mb(model, size)
    # Gradients of examples and windows, and their table.
    found = 60 * asked * size.layers * size.heads / 1e6
    memory = (CUDA if gpu else TORCH + batch) + found + 2 * read_mb(model, size)
    device = Memory(weights / max(gpu, 1), activations=batch)
    return Needs(int(memory), seconds, gpu, device=device)


#: Texts at most whose representations are described (`layerscope.analysis.representation_quality`).
DESCRIBED = 200


def representation_quality(
    study: Study, model: Model, size: ModelSize, task: TaskSize, name: str
) -> Needs:
    """Texts and their edits in a pass each; eigenvalues of each text's tokens at each layer."""
    passing = study.activations
    length = subwords(task, passing.max_length)
    learned = probed_rows(study, task, name)[0][0] / rows_in(study.tasks[name], task)
    texts = min(DESCRIBED, 2 * learned)  # of pairs each of the two
    operations = 2 * size.body * length * 2 * texts
    operations += size.layers * texts * (20 * length**3 + 2 * length**2 * size.width)
    batches = 2 * texts * length / passing.batch_tokens * size.layers
    seconds, gpu = compute(operations, batches, START_MODEL, model)
    seconds += size.layers * 4 * texts**2 * size.width / CORE
    # States of all layers, and those of one in float64; vectors of texts and edits.
    batch = (size.layers * 4 + 24) * size.width * passing.batch_tokens / 1e6
    vectors = 2 * texts * size.layers * size.width * 8 / 1e6
    device = Memory(model_mb(model, size) / max(gpu, 1), activations=batch)
    memory = (CUDA if gpu else TORCH + batch) + vectors + 2 * read_mb(model, size)
    return Needs(int(memory), seconds, gpu, device=device)


#: Rules, and what estimates each of their jobs.
ANSWERED = {
    "intervene": intervene,
    "patch": patch,
    "head_lens": head_lens,
    "head_importance": head_importance,
    "representation_quality": representation_quality,
}
