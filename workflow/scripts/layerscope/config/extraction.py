"""Settings of activations and of attention."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from layerscope.config.base import Count, Section, distinct
from layerscope.config.training import MaxLength, Precision
from layerscope.core.errors import UserError

View = Literal[
    "separate", "joint", "text", "word", "separate-last", "joint-last", "text-last", "word-last"
]
Keep = Literal["all", "before-and-after", "none"]


class EveryLayer(Section):
    """Layers at equal distances."""

    every: Count = Field(
        description="k: the embeddings, each k-th layer, and in any case the last one"
    )


def _form(layers: Any) -> str:
    """Which of its three forms a choice of layers has: text, a mapping or a list."""
    if isinstance(layers, dict | EveryLayer):
        return "every"
    return "list" if isinstance(layers, list) else "all"


Layers = Annotated[
    Annotated[Literal["all"], Tag("all")]
    | Annotated[EveryLayer, Tag("every")]
    | Annotated[
        list[Annotated[int, Field(ge=0)]],
        Field(min_length=1),
        AfterValidator(distinct),
        Tag("list"),
    ],
    Discriminator(_form),
]


class Activations(Section):
    """What is stored of the layers."""

    layers: Layers = Field(
        default="all",
        description="layers that are stored, and so probed and compared: all; a mapping with "
        "every; or a list of their numbers, 0 being the embeddings",
    )
    dtype: Literal["float16", "float32"] = Field(
        default="float16",
        description="type of the stored vectors; a value outside float16 is an error",
    )
    batch_tokens: Count = Field(
        default=4096,
        description="sub-words in a forward pass, with padding; without a GPU at most 1024",
    )
    max_length: MaxLength = Field(default=128, description="sub-word limit of a window")
    precision: Precision = Field(
        default="float32",
        description="of the forward pass; auto: bfloat16 if the device supports it",
    )
    keep: Keep = Field(
        default="all",
        description="variants whose activations are kept once all probes have read them; "
        "before-and-after: the pre-trained one and those of the largest training fraction",
    )

    def stored(self, last: int, model: str) -> list[int]:
        """Numbers of the layers of a model that are stored, ascending.

        Args:
            last: number of the model's last layer.
            model: its name, for the message.

        Raises:
            UserError: one is past the last.
        """
        if self.layers == "all":
            return list(range(last + 1))
        if isinstance(self.layers, EveryLayer):
            return sorted({*range(0, last + 1, self.layers.every), last})
        if max(self.layers) > last:
            raise UserError(
                f"activations.layers: {max(self.layers)} is past the last layer of {model}; "
                f"allowed: 0 (the embeddings) to {last}"
            )
        return sorted(self.layers)


class Attention(Section):
    """How attention maps are compared."""

    examples: Count = Field(description="test examples whose maps are compared")
    batch_examples: Count = Field(default=8, description="examples in a forward pass")
    max_length: MaxLength = Field(
        default=128,
        description="sub-word limit; longer examples are used, cut, where too few are shorter",
    )
