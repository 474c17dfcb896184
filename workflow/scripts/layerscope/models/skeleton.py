"""A model's architecture without its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedModel

from layerscope.models.checks import loading
from layerscope.models.families import body_class, prepared


def skeleton(folder: str | Path) -> PreTrainedModel:
    """The model of a folder, without a head, that takes little memory and cannot compute.

    Raises:
        UserError: the folder holds no model.
    """
    with loading(folder, "model"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config = prepared(config)
        with torch.device("meta"):
            return body_class(config)(config)
