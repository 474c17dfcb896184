"""Tasks, models and variants of the miniature study."""

from __future__ import annotations

TASKS = ("hpo-nli", "hpo-ner")
MODELS = {"bert-tiny": 3, "gpt-tiny": 2}  # layers
TUNED = ("f50-s1", "f50-s2")
VARIANTS = ("pretrained", "random-s0", *TUNED)
BASELINES = {
    "hpo-nli": {"majority", "bag-of-words", "premise-only", "hypothesis-only"},
    "hpo-ner": {"majority", "bag-of-words"},
}
VIEWS = {"hpo-nli": ("separate", "joint", "joint-last"), "hpo-ner": ("word",)}
