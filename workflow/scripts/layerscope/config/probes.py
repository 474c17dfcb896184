"""Settings of the probes; which kinds of task each fits stands here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from layerscope.config.base import Count, Positive, Section, Seed, distinct
from layerscope.core.kinds import KINDS, labels_examples


def _show_spread(draws: int) -> int:
    if draws == 1:
        raise ValueError("1; allowed: 0, or 2 or more, since one draw has no spread")
    return draws


RowDraws = Annotated[int, Field(ge=0, le=100), AfterValidator(_show_spread)]
_ROW_DRAWS = (
    "refits to resampled rows, whose spread is part of the intervals of scores; 0: none, and the "
    "rows are taken as given"
)


class LinearProbe(Section):
    """Multinomial logistic regression on standardised features, with a control task."""

    kind: Literal["linear"] = Field(description="multinomial logistic regression")
    inverse_regularisation: Positive | None = Field(
        default=None,
        description="C of scikit-learn; null: chosen by cross-validation for each probe",
    )
    max_iterations: Count = Field(default=200, description="the most iterations of L-BFGS")
    row_draws: RowDraws = Field(default=5, description=_ROW_DRAWS)
    control_seed: Seed = Field(default=0, description="seed of the control task's random labels")
    code_length: bool = Field(
        default=True,
        description="whether online code length is measured; more than doubles the time",
    )
    combined: bool = Field(
        default=True,
        description="views separate: also with |u - v| and u * v of premise and hypothesis",
    )


class SvmProbe(Section):
    """RBF support vector machine, as published (scikit-learn's defaults)."""

    kind: Literal["svm"] = Field(description="RBF support vector machine; not for NER")
    inverse_regularisation: Positive = Field(default=1.0, description="C of scikit-learn")
    row_draws: RowDraws = Field(default=5, description=_ROW_DRAWS)


def together_mb(on_gpu: bool) -> int:
    """MB of vectors at most that BiLSTM-CRFs of several layers, trained together, read."""
    return 4096 if on_gpu else 256


#: Sentences that BiLSTM-CRFs tag at once.
DECODED = 128


class BilstmCrfProbe(Section):
    """BiLSTM with a conditional random field on frozen word vectors, as published."""

    kind: Literal["bilstm-crf"] = Field(description="BiLSTM with a CRF; NER only")
    hidden: Count = Field(
        default=256, description="units of both directions together; an even number", multiple_of=2
    )
    epochs: Count = Field(default=3, description="passes over the training sentences")
    batch_size: Count = Field(default=64, description="sentences in a step")
    learning_rate: Positive = Field(default=0.001, description="rate of Adam")
    seeds: Annotated[list[Seed], AfterValidator(distinct)] = Field(
        default=[0], description="one probe per seed", min_length=1
    )
    row_draws: RowDraws = Field(default=0, description=_ROW_DRAWS)


#: Rows that a probe may learn from: those of a split. `train` has what models are fine-tuned on;
#: `reserved` is a part of the training data that none is.
ProbeRows = Literal["validation", "reserved", "train"]

Probe = Annotated[LinearProbe | SvmProbe | BilstmCrfProbe, Field(discriminator="kind")]

PROBE_TASKS: dict[str, tuple[str, ...]] = {
    "linear": KINDS,
    "svm": tuple(kind for kind in KINDS if labels_examples(kind)),
    "bilstm-crf": ("ner",),
}
