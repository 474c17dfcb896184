"""Vectors of a few texts at every layer, for notebooks; no program of the workflow imports this."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from layerscope.config.extraction import Activations
from layerscope.extraction.activations import Vectors, sequence_vectors
from layerscope.models.inputs import encode_text, read_frame
from layerscope.models.load import position_limit


def text_vectors(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    architecture: str,
    texts: Sequence[str],
    settings: Activations | None = None,
) -> Vectors:
    """Vectors of whole texts: means over their real sub-words.

    Args:
        model: base model in evaluation mode.
        tokenizer: of the model.
        architecture: encoder or decoder.
        texts: one or more.
        settings: of the forward pass; those of a study without any if left out.

    Returns:
        texts x layers x width. Layer 0 is the embeddings. A text is cut to `settings.max_length`.

    The models of a study are in `resources/models/{model}` and
    `results/{study}/finetuned/{task}/{model}/{variant}`: `load_tokenizer(folder)` and
    `load_model(folder, tokenizer)` of `layerscope.models.load` read them. Here, one with
    random weights:

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast
    >>> vocabulary = {"<end>": 0, "a": 1, "dry": 2, "cough": 3}
    >>> words = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> tokenizer = PreTrainedTokenizerFast(
    ...     tokenizer_object=words, eos_token="<end>", pad_token="<end>"
    ... )
    >>> model = GPT2Model(GPT2Config(vocab_size=4, n_embd=8, n_layer=2, n_head=2)).eval()
    >>> vectors = text_vectors(model, tokenizer, "decoder", ["a dry cough", "a cough"])
    >>> vectors.shape
    (2, 3, 8)
    """
    settings = settings or Activations()
    frame = read_frame(tokenizer, architecture)
    limit = position_limit(model, settings.max_length)
    sequences, _ = encode_text(tokenizer, frame, texts, limit)
    return sequence_vectors(model, sequences, frame, settings)
