"""What other choices of layers and of test rows would cost: the same study, estimated again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.config.extraction import EveryLayer, Layers
from layerscope.config.schema import Study
from layerscope.resources.estimate import Estimate, aligned, estimate, hours_text, size_text
from layerscope.resources.sizes import Sizes

#: Test rows (words, texts or pairs) of a capped choice, for tasks without a `probe_test_limit`.
CAP = 10_000
#: The k of every k-th layer.
EVERY = 4

Limits = dict[str, int | None]


@dataclass(frozen=True)
class Choice:
    """Layers, test rows by task, and what the study would cost with them."""

    layers: Layers
    limits: Limits
    is_own: bool  # what the study has
    cost: Estimate


def choices(
    study: Study, sizes: Sizes, planned: Sequence[tuple[str, Mapping[str, str]]]
) -> list[Choice]:
    """All layers or every fourth, all test rows or some, and what the study has if that is another.

    Arguments as of `estimate`.
    """
    own = {name: task.probe_test_limit for name, task in study.tasks.items()}
    limits: list[Limits] = [dict.fromkeys(own), {name: own[name] or CAP for name in own}]
    layers: list[Layers] = ["all", EveryLayer(every=EVERY)]
    found = [(some, rows) for some in layers for rows in limits]
    configured = (study.activations.layers, own)
    found += [configured] * (configured not in found)
    return [
        Choice(*each, each == configured, estimate(_changed(study, *each), sizes, planned))
        for each in found
    ]


def _changed(study: Study, layers: Layers, limits: Limits) -> Study:
    activations = study.activations.model_copy(update={"layers": layers})
    tasks = {
        name: task.model_copy(update={"probe_test_limit": limits[name]})
        for name, task in study.tasks.items()
    }
    return study.model_copy(update={"activations": activations, "tasks": tasks})


def choices_in_words(study: Study, found: Sequence[Choice]) -> str:
    """The choices side by side, as text for a terminal."""
    titles = ("layers", "test rows", "kept", "a variant", "core-hours", "GPU-hours", "")
    rows = []
    for choice in found:
        lines = choice.cost.lines.values()
        rows.append(
            (
                _layers_text(choice.layers),
                "capped" if any(choice.limits.values()) else "all",
                size_text(choice.cost.activations_mb[study.activations.keep]),
                size_text(choice.cost.temp_mb),
                hours_text(sum(line.core_hours for line in lines)),
                hours_text(sum(line.gpu_hours for line in lines)),
                "(this study)" if choice.is_own else "",
            )
        )
    return "\n".join(
        [
            "Activations and hours of the whole study, by activations.layers and probe_test_limit",
            f"(capped: each task's own limit, or {CAP:,} words, texts or pairs):",
            "",
            *(line.rstrip() for line in aligned([titles, *rows])),
        ]
    )


def _layers_text(layers: Layers) -> str:
    if isinstance(layers, EveryLayer):
        return f"every {layers.every}{_ENDINGS.get(layers.every, 'th')}"
    return f"{len(layers)} listed" if isinstance(layers, list) else layers


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
