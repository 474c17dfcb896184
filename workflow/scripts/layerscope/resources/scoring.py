"""Memory and time of jobs that count answers."""

from __future__ import annotations

from layerscope.config import jobs
from layerscope.config.schema import Study
from layerscope.core.kinds import TaskKind
from layerscope.core.measures import BASELINES_OF_KIND
from layerscope.resources.sizes import USUAL_LABELS, Sizes, TaskSize, rows_in

#: Seconds to start a program, and MB of one that has imported pyarrow and scikit-learn.
START, SMALL = 5.0, 600
#: MB and seconds of all tables.
TABLE = (2000, 30.0)
#: The same of scores and of the analysis of errors, and seconds for each label and row.
SCORED, ANALYSED = (2000, 60.0, 1e-6), (2000, 120.0, 3e-6)
#: Features of a bag of words at most, and bytes that L-BFGS holds for each of them and label.
FEATURES, HELD = 50_000, 240


def bag_of_words(task: TaskSize, kind: TaskKind) -> tuple[int, float]:
    """MB and seconds of a baseline.

    Args:
        task: its size.
        kind: of the task.
    """
    words = task.examples["train"] * task.words
    held = HELD * min(words, FEATURES) * task.labels / 1e6
    seconds = 2e-4 * words * max(1, task.labels / USUAL_LABELS[kind])
    return int(1000 + 0.004 * words + held), START + seconds


def scored(
    study: Study, task: TaskSize, name: str, cost: tuple[int, float, float]
) -> tuple[int, float]:
    """MB and seconds: counts of each label, of the test rows of a variant and the examples of all.

    Args:
        study: the configuration.
        task, name: the task's size and name.
        cost: `SCORED` or `ANALYSED`.
    """
    variants = len(jobs.finetuned_variants(study))
    examples = task.examples["test"]
    rows = examples * rows_in(study.tasks[name], task)
    counts = 24 * task.labels * (2 * rows + variants * examples) / 1e6
    memory, seconds, each = cost
    return (
        int(max(memory, SMALL + counts)),
        max(seconds, START + each * task.labels * rows * variants),
    )


def score_table(study: Study, sizes: Sizes) -> tuple[int, float]:
    """The same of confusions of all systems: each label, and each row that is predicted otherwise.

    Args:
        study: the configuration.
        sizes: of its tasks.
    """
    systems = len(study.models) + max(map(len, BASELINES_OF_KIND.values()))
    rows = 0.0
    for name, task in sizes.tasks.items():
        test = task.examples["test"] * rows_in(study.tasks[name], task)
        rows += min(task.labels**2, task.labels + test)
    rows *= systems * len(jobs.finetuned_variants(study))
    return int(max(TABLE[0], SMALL + 1.5e-3 * rows)), max(TABLE[1], START + 2e-5 * rows)
