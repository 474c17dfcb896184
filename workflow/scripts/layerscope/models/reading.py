"""Where a head reads: the tokens of the last block's output that its answer depends on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from layerscope.models.hooks import resumed, states_captured


def tokens_read(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> str:
    """Whether a head for classification reads the first token, the last one, or all.

    Found by the gradient of its logits, so that it holds for whatever a class of models does:
    BERT's kin read the first token, GPT-2's the last, and ModernBERT's may read the mean.

    Args:
        model: with its head, in evaluation mode.
        batch: a single sequence without padding, of several tokens.
    """
    with torch.no_grad(), states_captured(model) as states:
        model(**batch)
    state = states[-1].detach().clone().requires_grad_()
    with resumed(model, len(states), state, states.beside[-1]), torch.enable_grad():
        logits = model(**batch).logits.float()
        # Different weights: what moves all logits alike would cancel in no case.
        weighted = logits * torch.arange(1, logits.shape[-1] + 1, device=logits.device)
        (gradient,) = torch.autograd.grad(weighted.sum(), state)
    read = gradient[0].abs().sum(dim=-1) > 0
    if read.sum() == 1 and (read[0] or read[-1]):
        return "first" if read[0] else "last"
    return "all"


def read_mask(attention_mask: torch.Tensor, tokens: str) -> torch.Tensor:
    """The first, the last or all real tokens of each sequence: batch x tokens, bool.

    Args:
        attention_mask: batch x tokens; 1 for a real token, on whichever side the padding stands.
        tokens: "first", "last" or "all".
    """
    real = attention_mask.bool()
    if tokens == "all":
        return real
    places = torch.arange(real.shape[1], device=real.device).expand_as(real)
    beyond = real.shape[1]
    if tokens == "first":
        return places == torch.where(real, places, beyond).amin(dim=1, keepdim=True)
    return places == torch.where(real, places, -1).amax(dim=1, keepdim=True)
