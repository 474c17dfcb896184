"""Which class of transformers stands for a configuration, with and without a head of ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from layerscope.core.errors import UserError
from layerscope.core.kinds import labels_examples
from layerscope.models.reading import read_mask

#: Heads for sequences that are not used: XLNet's reads the last place of a batch, padding or not;
#: Longformer's gives the first token global attention, which it has in no other pass.
_NOT_USED = frozenset({"xlnet", "longformer"})
#: How configurations name the dropout before a head, in the order in which it is looked for.
_DROPOUTS = ("classifier_dropout", "hidden_dropout_prob", "hidden_dropout", "resid_pdrop")
_DROPOUT = 0.1  # as Devlin et al. (2019); of configurations that name none
#: Entry of a configuration: which token of a sequence our head reads.
READS = "classifier_reads"
_OURS = "_has_head_of_layerscope"


def prepared(config: PreTrainedConfig) -> PreTrainedConfig:
    """A configuration as the study uses it: sparse attention of BigBird computed in full.

    On inputs as short as those of a study the sparse kind is the full one.
    """
    if getattr(config, "attention_type", None) == "block_sparse":
        config.attention_type = "original_full"
    return config


def token_read(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    """Which token our head for sequences reads: the first if it is made for that, else the last.

    The last is a decoder's that has read all of the input, and XLNet's own token for the purpose.
    """
    own = tokenizer.cls_token_id
    if own == tokenizer.bos_token_id and not _is_encoder_decoder(config):
        return "last"  # a decoder's beginning of text, which has read nothing
    return "first" if tokenizer("a")["input_ids"][0] == own else "last"


def _is_encoder_decoder(config: PreTrainedConfig) -> bool:
    return type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING


def require_language_model(config: PreTrainedConfig, architecture: str, folder: str | Path) -> None:
    """Stop where a model cannot be pre-trained further as an encoder or a decoder.

    Raises:
        UserError: it has both, or transformers has no head for this kind of language modelling.
    """
    if _is_encoder_decoder(config):
        raise UserError(
            f"{folder}: {config.model_type!r} has an encoder and a decoder, and is pre-trained as "
            "one; allowed: to continue from an encoder or a decoder"
        )
    masked = architecture == "encoder"
    heads = MODEL_FOR_MASKED_LM_MAPPING if masked else MODEL_FOR_CAUSAL_LM_MAPPING
    if _class_in(heads, config) is None:
        kind = "masked" if masked else "causal"
        raise UserError(
            f"{folder}: {config.model_type!r} has no head for {kind} language modelling; allowed: "
            "to continue from a model that has one"
        )


def body_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of a model without a head; of an encoder-decoder, of its encoder alone.

    Raises:
        UserError: transformers has none.
    """
    known: Any = _class_in(MODEL_MAPPING, config)
    if known is None:
        raise UserError(
            f"model_type {config.model_type!r}: transformers has no class for it; allowed: one of "
            "its model types for text"
        )
    return _encoder_alone(known) if _is_encoder_decoder(config) else known


def classifier_class(config: PreTrainedConfig, kind: str) -> type[PreTrainedModel]:
    """The class of a model with a head for sequences, or for their tokens (ner).

    It is that of transformers, where there is one that fits, and else ours.
    """
    mapping = (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        if labels_examples(kind)
        else MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING
    )
    body: Any = body_class(config)
    theirs = _class_in(mapping, config)
    if _is_encoder_decoder(config) or theirs is None:
        return _with_head(body, kind)
    if labels_examples(kind) and config.model_type in _NOT_USED:
        return _with_head(body, kind)
    return theirs


def is_ours(kind: type) -> bool:
    """Whether a class has our head."""
    return hasattr(kind, _OURS)


def _class_in(mapping: Any, config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    found = mapping.get(type(config), None)
    return found[0] if isinstance(found, tuple) else found


def _pretrained_class(body: Any) -> Any:
    """What the models of a family have in common: how weights are initialised and named."""
    return next(each for each in body.__mro__[1:] if each.__name__.endswith("PreTrainedModel"))


@cache
def _encoder_alone(whole: Any) -> type[PreTrainedModel]:
    """The encoder of an encoder-decoder, with the names that its weights have in the whole."""

    def initialise(self: Any, config: Any) -> None:
        family.__init__(self, config)
        both: Any = whole(config)
        self.shared, self.encoder = both.shared, both.encoder
        self.post_init()

    def forward(self: Any, input_ids: torch.Tensor, **options: Any) -> Any:
        return self.encoder(input_ids=input_ids, **options)

    family = _pretrained_class(whole)
    members = {
        "__init__": initialise,
        "forward": forward,
        "get_input_embeddings": lambda self: self.shared,
        "_tied_weights_keys": {"encoder.embed_tokens.weight": "shared.weight"},
        "_keys_to_ignore_on_load_unexpected": [r"^(?:model\.)?decoder\."],
    }
    return type(f"{whole.__name__}Encoder", (family,), members)


@cache
def _with_head(body: Any, kind: str) -> type[PreTrainedModel]:
    """A body with dropout and a linear map of the states that are read."""
    family = _pretrained_class(body)
    prefix = family.base_model_prefix

    def initialise(self: Any, config: Any) -> None:
        family.__init__(self, config)
        setattr(self, prefix, body(config))
        rates = [getattr(config, name, None) for name in _DROPOUTS]
        self.dropout = nn.Dropout(next((r for r in rates if r is not None), _DROPOUT))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor | None = None,
        **options: Any,
    ) -> SequenceClassifierOutput:
        """Logits alone: the loss is the Trainer's."""
        given = {"input_ids": input_ids, "attention_mask": attention_mask, **options}
        output = getattr(self, prefix)(**given)
        states = output.last_hidden_state
        if labels_examples(kind):
            states = states[read_mask(attention_mask, getattr(self.config, READS))]
        logits = self.classifier(self.dropout(states))
        return SequenceClassifierOutput(
            logits=logits,
            hidden_states=getattr(output, "hidden_states", None),
            attentions=getattr(output, "attentions", None),
        )

    name = body.__name__.removesuffix("Model")
    whole = "Sequence" if labels_examples(kind) else "Token"
    members = {
        _OURS: True,
        "__init__": initialise,
        "forward": forward,
        "get_input_embeddings": lambda self: getattr(self, prefix).get_input_embeddings(),
        "_tied_weights_keys": {
            f"{prefix}.{tied}": f"{prefix}.{of}"
            for tied, of in (getattr(body, "_tied_weights_keys", None) or {}).items()
        },
    }
    return type(f"{name}For{whole}Classification", (family,), members)
