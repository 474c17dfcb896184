"""Vectors of a few texts at every layer, for notebooks; no program of the workflow imports this."""

from __future__ import annotations

from collections.abc import Sequence

from layerscope.config.extraction import Activations
from layerscope.extraction.activations import Vectors, sequence_vectors
from layerscope.models.inputs import encode_text
from layerscope.models.load import position_limit
from layerscope.models.loaded import LoadedModel


def text_vectors(
    loaded: LoadedModel, texts: Sequence[str], settings: Activations | None = None
) -> Vectors:
    """Vectors of whole texts: means over their real sub-words.

    Args:
        loaded: a model without a head.
        texts: one or more.
        settings: of the forward pass; those of a study without any if left out.

    Returns:
        texts x layers x width. Layer 0 is the embeddings. A text is cut to `settings.max_length`.

    The models of a study are in `resources/models/{model}` and
    `results/{study}/finetuned/{task}/{model}/{variant}`; `load_base(folder, architecture)` of
    `layerscope.models.loaded` reads them. Here, one with random weights:

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast
    >>> vocabulary = {"<end>": 0, "a": 1, "dry": 2, "cough": 3}
    >>> words = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = PreTrainedTokenizerFast(
    ...     tokenizer_object=words, eos_token="<end>", pad_token="<end>"
    ... )
    >>> model = GPT2Model(GPT2Config(vocab_size=4, n_embd=8, n_layer=2, n_head=2)).eval()
    >>> loaded = LoadedModel.of(model, tokenizer, "decoder")
    >>> vectors = text_vectors(loaded, ["a dry cough", "a cough"])
    >>> vectors.shape
    (2, 3, 8)
    """
    settings = settings or Activations()
    limit = position_limit(loaded.model, settings.max_length)
    sequences, _ = encode_text(loaded.tokenizer, loaded.special_tokens, texts, limit)
    return sequence_vectors(loaded, sequences, settings)
