"""The published protocol and the recommended one: what a study has where it says nothing itself.

docs/protocols.md sets them side by side.
"""

from __future__ import annotations

from typing import Any, Literal

from layerscope.config.probes import ProbeRows
from layerscope.config.tasks import TagScheme

Protocol = Literal["recommended", "published"]

PROBES: dict[str, Any] = {
    "svm": {"kind": "svm"},
    "bilstm-crf": {"kind": "bilstm-crf"},
    "linear": {"kind": "linear"},
}

#: Of the recommended protocol, for every kind of task.
RECIPE: dict[str, Any] = {
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "schedule": "linear",
    "precision": "auto",
    "gradient_checkpointing": False,
}

#: Of tasks whose examples have one label: of the recommended protocol, and of the published one.
LABELLED_TEXTS: dict[str, Any] = {
    "learning_rate": 2.0e-5,
    "epochs": 3,
    "min_steps": 1000,
    "batch_size": 32,
    "max_length": 128,
    **RECIPE,
}
PUBLISHED_TEXTS: dict[str, Any] = {
    "learning_rate": 2.0e-5,
    "epochs": 3,
    "min_steps": 0,
    "batch_size": 1,
    "max_length": 128,
    "weight_decay": 0.0,
    "warmup_ratio": 0.0,
    "schedule": "constant",
    "precision": "float32",
    "gradient_checkpointing": False,
}

#: What a protocol gives where the configuration leaves it out: sections, and of fine-tuning each
#: setting. All settings are here, so that none comes from anywhere else.
SECTIONS: dict[Protocol, dict[str, Any]] = {
    # BERT's recipe (Devlin et al. 2019, A.3): rates of 2e-5 to 5e-5, batches of 16 or 32.
    "recommended": {
        "finetuning": {
            "nli": LABELLED_TEXTS,
            "classification": LABELLED_TEXTS,
            "ner": {
                "learning_rate": 5.0e-5,
                "epochs": 5,
                "min_steps": 1000,
                "batch_size": 32,
                "max_length": 128,
                **RECIPE,
            },
        },
        "probes": PROBES,
    },
    # From the study's code (Bonfigli et al. 2024): Adam for NLI, AdamW for NER, constant rates.
    "published": {
        "finetuning": {
            "nli": PUBLISHED_TEXTS,
            "classification": PUBLISHED_TEXTS,
            "ner": {
                "learning_rate": 1.0e-5,
                "epochs": 5,
                "min_steps": 0,
                "batch_size": 4,
                "max_length": 128,
                "weight_decay": 0.01,
                "warmup_ratio": 0.0,
                "schedule": "constant",
                "precision": "float32",
                "gradient_checkpointing": False,
            },
        },
        "probes": PROBES,
    },
}

TAG_SCHEMES: dict[Protocol, TagScheme] = {"recommended": "iob2", "published": "merged"}


#: What probes learn from: data that no variant was fine-tuned on, or, as published, that data.
PROBE_ROWS: dict[Protocol, tuple[ProbeRows, ...]] = {
    "recommended": ("validation",),
    "published": ("train",),
}


def with_protocol(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what its protocol gives where it says nothing itself.

    Fine-tuning has settings for the kinds of the study's tasks alone.

    Args:
        config: as it was read, with mistakes if it has any; an unknown protocol counts as the
            recommended one, so that it is the only mistake that is reported.
    """
    protocol = config.get("protocol")
    given = SECTIONS["published" if protocol == "published" else "recommended"]
    own = config.get("finetuning", {})
    if isinstance(own, dict):
        own = dict(own)
        kinds = _kinds_of(config.get("tasks"))
        for kind, settings in given["finetuning"].items():
            changes = own.get(kind)
            if changes is None and kind in kinds:
                own[kind] = dict(settings)
            elif isinstance(changes, dict):
                own[kind] = {**settings, **changes}
    return {**given, **config, "finetuning": own}


def _kinds_of(tasks: Any) -> list[Any]:
    """Kinds of the tasks of a configuration as it was read."""
    entries = tasks.values() if isinstance(tasks, dict) else ()
    return [entry.get("kind") for entry in entries if isinstance(entry, dict)]
