"""Settings of the probes; which kinds of task each fits stands here and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from layerscope.config.base import Count, Positive, Section, Seed


class LinearProbe(Section):
    """Multinomial logistic regression on standardised features, with a control task."""

    kind: Literal["linear"]
    inverse_regularisation: Positive = Field(1.0, description="C of scikit-learn")
    max_iterations: Count = Field(200, description="of L-BFGS")
    control_seed: Seed = Field(0, description="of the random labels of the control task")


class SvmProbe(Section):
    """RBF support vector machine, as published (scikit-learn's defaults)."""

    kind: Literal["svm"]
    inverse_regularisation: Positive = Field(1.0, description="C of scikit-learn")


class BilstmCrfProbe(Section):
    """BiLSTM with a conditional random field on frozen word vectors, as published."""

    kind: Literal["bilstm-crf"]
    hidden: Count = Field(256, description="units of both directions together; an even number",
                          multiple_of=2)
    epochs: Count = Field(3, description="passes over the training sentences")
    batch_size: Count = Field(64, description="sentences in a step")
    learning_rate: Positive = Field(0.001, description="of Adam")
    seeds: list[Seed] = Field([0], description="one probe a seed", min_length=1)


Probe = Annotated[LinearProbe | SvmProbe | BilstmCrfProbe, Field(discriminator="kind")]

PROBE_TASKS: dict[str, tuple[str, ...]] = {
    "linear": ("nli", "ner"),
    "svm": ("nli",),
    "bilstm-crf": ("ner",),
}
