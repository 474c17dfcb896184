"""Models of published shapes with random weights, and made-up sentences of real lengths.

Nothing is fetched: weights are drawn, words are made so that their number of sub-words is known,
and the lengths are drawn from histograms of two public data sets, frozen below.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from layerscope.core.formats import SCHEMAS
from layerscope.models.inputs import SpecialTokens, read_special_tokens
from layerscope.models.loaded import LoadedModel

#: Sentences by length in words (first, last, count): JNLPBA, training: 16,619, mean 26.6.
SENTENCE_WORDS = (
    (2, 5, 75), (6, 9, 307), (10, 13, 1187), (14, 17, 2070), (18, 21, 2632), (22, 25, 2609),
    (26, 29, 2160), (30, 33, 1706), (34, 37, 1291), (38, 41, 925), (42, 45, 586), (46, 49, 380),
    (50, 59, 455), (60, 69, 145), (70, 79, 45), (80, 99, 28), (100, 166, 18),
)  # fmt: skip
#: The same of claims, the shorter text of a pair: SciFact, training, 1,549 pairs.
CLAIM_WORDS = (
    (3, 5, 45), (6, 7, 213), (8, 9, 219), (10, 11, 297), (12, 13, 241), (14, 15, 177),
    (16, 17, 150), (18, 19, 84), (20, 23, 73), (24, 27, 36), (28, 39, 14),
)  # fmt: skip
#: Share of words with 1, 2, 3 and 4 sub-words: 1.4 a word.
SUB_WORDS = (0.75, 0.14, 0.07, 0.04)
FIRST, FURTHER = 1000, 100  # pieces that begin a word, and that go on with it
LIMIT = 128  # sub-words of a sequence, as published
TAGS = ["O", "B-x", "I-x"]


@dataclass(frozen=True)
class Shape:
    """Sizes of a model without its head."""

    name: str
    architecture: str  # "encoder": BERT's; "decoder": GPT-2's
    layers: int
    width: int
    heads: int
    vocabulary: int
    positions: int

    def config(self, dropout: float | None = None) -> BertConfig | GPT2Config:
        """For transformers; a dropout other than the architecture's own, if given."""
        if self.architecture == "encoder":
            names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
            return BertConfig(
                vocab_size=self.vocabulary,
                hidden_size=self.width,
                num_hidden_layers=self.layers,
                num_attention_heads=self.heads,
                intermediate_size=4 * self.width,
                max_position_embeddings=self.positions,
                **({} if dropout is None else dict.fromkeys(names, dropout)),
            )
        names = ("resid_pdrop", "embd_pdrop", "attn_pdrop")
        return GPT2Config(
            vocab_size=self.vocabulary,
            n_embd=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            n_positions=self.positions,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
            **({} if dropout is None else dict.fromkeys(names, dropout)),
        )

    def model(self, seed: int = 0) -> PreTrainedModel:
        """Float32, evaluation mode, weights drawn from a seed."""
        torch.manual_seed(seed)
        return AutoModel.from_config(self.config()).eval()

    def flops(self, lengths: Iterable[int]) -> float:
        """Operations that one forward pass over sequences of these lengths needs.

        Matrix products of the blocks alone: two operations a weight (12 x width^2 of them a layer)
        and token, and 4 x tokens x width a token and layer for scores and sums of attention (of
        causal models too, whose upper half could be left out). Embeddings, biases, softmax, norms
        and pooling count as nothing. Lengths are those of the sequences themselves, so that
        whatever is computed on padding counts as loss.
        """
        weights = 2 * 12 * self.width**2 * self.layers
        return float(sum(n * (weights + 4 * n * self.width * self.layers) for n in lengths))


BERT_BASE = Shape("BERT-base", "encoder", 12, 768, 12, 28996, 512)
GPT2_MEDIUM = Shape("GPT-2-medium", "decoder", 24, 1024, 16, 50257, 1024)
TINY_BERT = Shape("tiny BERT", "encoder", 2, 64, 4, 1200, 512)
TINY_GPT2 = Shape("tiny GPT-2", "decoder", 2, 64, 4, 1200, 1024)


def tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    """WordPiece over the made-up pieces, with the frame of BERT or with none, as GPT-2 has it."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    pieces = [
        *specials,
        *(f"a{number:03d}" for number in range(FIRST)),
        *(f"##b{number:02d}" for number in range(FURTHER)),
    ]
    assert len(pieces) <= shape.vocabulary
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if shape.architecture == "decoder":
        return PreTrainedTokenizerFast(
            tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", eos_token="[PAD]"  # noqa: S106
        )  # fmt: skip
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in specials[2:]],
    )
    names = {f"{name.strip('[]').lower()}_token": name for name in specials}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=inputs, **names)


def special_tokens(shape: Shape) -> SpecialTokens:
    """How the tokenizer frames a text."""
    return read_special_tokens(tokenizer(shape), shape.architecture)


def loaded(shape: Shape) -> LoadedModel:
    """The model of a shape, weights drawn from seed 0, and its tokenizer."""
    return LoadedModel.of(shape.model(), tokenizer(shape), shape.architecture)


def sentences(
    count: int, seed: int = 0, words: Sequence[tuple[int, int, int]] = SENTENCE_WORDS
) -> list[list[str]]:
    """Sentences of made-up words, of the lengths of a histogram."""
    rng = random.Random(seed)  # noqa: S311
    sizes = rng.choices(words, [size[2] for size in words], k=count)
    return [[_word(rng) for _ in range(rng.randint(first, last))] for first, last, _ in sizes]


def _word(rng: random.Random) -> str:
    further = rng.choices(range(4), SUB_WORDS)[0]
    pieces = (f"b{rng.randrange(FURTHER):02d}" for _ in range(further))
    return f"a{rng.randrange(FIRST):03d}" + "".join(pieces)


def pairs(count: int, seed: int = 0) -> pa.Table:
    """A prepared table of pairs: sentences as premises, texts as long as claims as hypotheses."""
    premises, claims = sentences(count, seed), sentences(count, seed + 1, CLAIM_WORDS)
    labels = ["contradiction", "entailment", "neutral"]
    columns: dict[str, list[Any]] = {
        "example_id": [f"p{row}" for row in range(count)],
        "group_id": [f"g{row}" for row in range(count)],
        "premise": [" ".join(words) for words in premises],
        "hypothesis": [" ".join(words) for words in claims],
        "label": [labels[row % 3] for row in range(count)],
    }
    return pa.table(columns, schema=pa.schema(list(SCHEMAS["nli"].items())))


def tagged(count: int, seed: int = 0) -> pa.Table:
    """A prepared table of sentences with tags; a third of the words are entities."""
    tokens = sentences(count, seed)
    columns: dict[str, list[Any]] = {
        "example_id": [f"s{row}" for row in range(count)],
        "group_id": [f"g{row}" for row in range(count)],
        "tokens": tokens,
        "tags": [[TAGS[int(int(word[1:4]) % 3 == 0)] for word in words] for words in tokens],
    }
    return pa.table(columns, schema=pa.schema(list(SCHEMAS["ner"].items())))


def spread_out(table: pa.Table, count: int) -> pa.Table:
    """So many rows, of evenly spaced ranks by length of the text: as long on average as all."""
    name = "premise" if "premise" in table.column_names else "tokens"
    texts = table.column(name).to_pylist()
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
    step = len(order) / count
    return table.take(sorted(order[int(step * (at + 0.5))] for at in range(count)))
