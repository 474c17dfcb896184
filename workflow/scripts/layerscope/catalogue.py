"""The one list of a study's analyses: switches, tables, figures and pages.

Rules, the estimate, the configuration and the tests read it; there is no second list.
The programs `draw` and `make_table` do not import it, so an edit here redraws nothing by itself.

The conditions of an entry (`needs`) are names of switches in the section `analyses` of the
configuration, or of what `layerscope.config.jobs.analyses` adds to them: `models`, `attention`,
`interventions`, `references`, `adapter-pairs`, `training-repeats`,
`pretrained-here`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from layerscope.core.entries import Figure, Page, Part, Table

#: What a study can turn off, and what it is.
SWITCHES = {
    "similarity": "how much each layer changes, anisotropy, and how similar models are (CKA)",
    "layer_localization": "at which layer a probe's score is reached",
    "heads": "how much each attention head changes",
    "significance": "tests between models, and of gains of more data",
    "error_analysis": "calibration, F1 of each class, and of seen and unseen entities",
    "weight_change": "how far fine-tuning moves the weights of each layer",
    "adapters": "how models differ inside that are fine-tuned whole and with an adapter",
    "patching": "what the score owes to the change of each layer",
    "head_lens": "the head of fine-tuned models put on each layer",
    "variance": "what fine-tuned models vary by, where models are trained again",
    "head_importance": "how much the loss depends on each attention head",
    "representation_quality": "entropy, rank, curvature and invariance of layers, without labels",
    "usable_information": "bits that linear probes and perceptrons can use of each layer",
    "summary": "findings in sentences",
    "explorer": "the interactive page",
}


TABLES = (
    Table(
        "training",
        "Optimiser steps and losses of each fine-tuning.",
        part=Part("Steps and losses of one model on one task.", "tables.training"),
    ),
    Table(
        "scores",
        "Downstream scores of models and baselines.",
        module="tables.scores",
        inputs=("training",),
        settings="models",
        also={"confusion": "How often each label was predicted as each."},
    ),
    Table(
        "probes",
        "Probe scores by layer, with intervals over examples and seeds.",
        part=Part(
            "Probe scores by layer of one model on one task, with intervals.",
            "tables.probes",
            settings="statistics",
        ),
    ),
    Table(
        "attention",
        "Attention measures by layer and head, with intervals over examples.",
        part=Part(
            "Attention measures of one model on one task, with intervals over examples.",
            "tables.attention",
            settings="statistics",
        ),
        needs=("attention",),
    ),
    Table(
        "similarity",
        "How much each layer changes from the pre-trained model, and anisotropy.",
        part=Part("Similarity by layer of one model on one task.", "tables.similarity"),
        needs=("similarity",),
    ),
    Table(
        "weight_change",
        "How far fine-tuning has moved the weights of each layer.",
        part=Part("Change of weights by layer of one model on one task.", "analysis.weight_change"),
        needs=("weight_change",),
    ),
    Table(
        "cross_model_similarity",
        "How similar models are to each other at equal relative depth.",
        needs=("models",),
    ),
    Table(
        "layer_localization",
        "At which layer each probe's score is reached.",
        module="analysis.layer_localization",
        inputs=("probes", "training"),
        needs=("layer_localization",),
    ),
    Table(
        "heads",
        "How much each attention head changes, relative to two seeds and to another head.",
        module="analysis.heads",
        inputs=("attention", "training"),
        needs=("heads", "attention"),
    ),
    Table(
        "significance",
        "Which scores differ on the same test examples, by tests that draw seeds too.",
        part=Part(
            "Which scores of one task differ, by tests that draw seeds too.",
            "evaluation.significance",
            by=("task",),
            settings="equivalence",
        ),
        needs=("significance",),
    ),
    Table(
        "error_analysis",
        "Calibration, F1 of each class, and of seen and unseen entities.",
        part=Part(
            "Calibration, F1 of classes and of entities, of one model on one task.",
            "evaluation.error_analysis",
            settings="statistics",
        ),
        needs=("error_analysis",),
    ),
    Table(
        "interventions",
        "Scores with heads masked and with the label erased.",
        part=Part("Scores under interventions of one model on one task.", "tables.interventions"),
        needs=("interventions",),
    ),
    Table(
        "patching",
        "Scores with layers exchanged between the models before and after fine-tuning.",
        part=Part("Scores with layers exchanged, of one model on one task.", "tables.patching"),
        needs=("patching", "interventions"),
    ),
    Table(
        "head_lens",
        "Scores with the head of fine-tuned models put on each layer.",
        part=Part("Scores of the head on each layer of one model on one task.", "tables.head_lens"),
        needs=("head_lens",),
    ),
    Table(
        "head_importance",
        "How much the loss depends on each attention head, beside how much the head changes.",
        part=Part(
            "Importance of the heads of one model on one task, with intervals over examples.",
            "tables.head_importance",
            settings="statistics",
        ),
        needs=("head_importance",),
    ),
    Table(
        "head_correlations",
        "Within layers, whether heads that matter change more, and whether seeds agree.",
        module="analysis.head_correlations",
        inputs=("head_importance",),
        settings="statistics",
        needs=("head_importance",),
    ),
    Table(
        "representation_quality",
        "Entropy, effective rank, curvature and invariance of each layer, without labels.",
        part=Part(
            "Quality of each layer's representations of one model on one task.",
            "tables.representation_quality",
            settings="statistics",
        ),
        needs=("representation_quality",),
    ),
    Table(
        "usable_information",
        "How many bits about the label predictors can use of each layer, with intervals.",
        part=Part(
            "Usable information by layer of one model on one task, with intervals.",
            "tables.usable_information",
            settings="statistics",
        ),
        needs=("usable_information",),
    ),
    Table(
        "association",
        "Which inner measures are associated with downstream scores, beside placebos.",
        module="evaluation.association",
        inputs=("scores", "probes"),
        optional=("attention", "weight_change"),
        settings="association",
        also={"association-points": "What associations are of: a point per fine-tuned variant."},
    ),
    Table(
        "adapters",
        "How scores and insides differ of models fine-tuned whole and with an adapter.",
        module="evaluation.adapters",
        inputs=("significance", "probes"),
        optional=("attention", "similarity", "weight_change"),
        settings="adapters",
        needs=("adapters", "significance", "adapter-pairs"),
    ),
    Table(
        "variance",
        "What fine-tuned models vary by: seeds, samples, test examples, probe rows.",
        module="evaluation.variance",
        settings="variance",
        also={"variance-differences": "Which models differ by more than trainings of one model."},
        needs=("variance", "training-repeats"),
    ),
    Table(
        "not_applicable",
        "Which analyses are not applicable to which models, and why.",
        module="tables.not_applicable",
        optional=(
            *("attention", "weight_change", "interventions", "patching", "head_lens"),
            "head_importance",
            "representation_quality",
        ),
    ),
    Table(
        "pretraining",
        "Held-out loss and perplexity of the models that are pre-trained here.",
        module="tables.pretraining",
    ),
    Table(
        "reproduction",
        "Our scores compared with published ones, and whether they agree.",
        module="evaluation.reproduction",
        inputs=("scores",),
        settings="statistics",
        needs=("references",),
    ),
)

# fmt: off
FIGURES = (
    Figure("scores", "Performance", "Score by training fraction", ("scores", "training"),
           "How well each model does the task, by training fraction.", by_task=False),
    Figure("pretraining", "Pre-training", "Held-out perplexity", ("pretraining",),
           "What pre-training in the workflow achieved on held-out text.",
           by_task=False, needs=("pretrained-here",)),
    Figure("reproduction", "Performance", "Comparison with published values", ("reproduction",),
           "Our scores compared with published ones.", by_task=False, needs=("references",)),
    Figure("probes", "Layers", "Probe score by layer", ("probes",),
           "What each layer encodes, before and after fine-tuning, with the random control."),
    Figure("controls", "Layers", "Controls of the probes", ("probes",),
           "What probes achieve on half of the input, and on random labels."),
    Figure("inputs", "Layers", "What probes are given", ("probes", "scores"),
           "How the best layer's score depends on pooling, features and parts of the input."),
    Figure("attention", "Attention", "Similarity before and after", ("attention",),
           "How similar each head's attention is before and after fine-tuning.",
           needs=("attention",)),
    Figure("association", "Association", "Inner measures and performance",
           ("association", "association-points", "scores"),
           "Which inner measures are associated with the downstream score."),
    Figure("gain", "Layers", "Gain of fine-tuning by layer", ("probes",),
           "How much fine-tuning adds to each layer's probe score."),
    Figure("confusion", "Performance", "Confusion of labels", ("confusion",),
           "Which labels are confused with which."),
    Figure("similarity", "Layers", "Similarity to pre-trained", ("similarity",),
           "How much each layer changes from the pre-trained model, and anisotropy.",
           needs=("similarity",)),
    Figure("weight_change", "Layers", "Change of weights", ("weight_change",),
           "How far fine-tuning has moved the weights of each layer.", needs=("weight_change",)),
    Figure("cross_model_similarity", "Layers", "Similarity between models",
           ("cross_model_similarity",),
           "How similar models are to each other at equal relative depth, before and after.",
           needs=("models",)),
    Figure("layer_localization", "Layers", "Where information enters", ("layer_localization",),
           "At which depth each probe's score is reached, by training fraction.",
           needs=("layer_localization",)),
    Figure("heads", "Attention", "How much heads change", ("heads",),
           "How much each attention head changes, and in what.",
           needs=("heads", "attention")),
    Figure("significance", "Performance", "Differences between models", ("significance",),
           "Which models, baselines and training fractions differ.", needs=("significance",)),
    Figure("error_analysis", "Performance", "Calibration and classes", ("error_analysis",),
           "Calibration, F1 of each class, and of seen and unseen entities.",
           needs=("error_analysis",)),
    Figure("interventions", "Interventions", "Heads masked, label erased", ("interventions",),
           "How much score masked heads and an erased label cost.", needs=("interventions",)),
    Figure("patching", "Interventions", "Layers of before and after exchanged", ("patching",),
           "What the score owes to the change of each layer.",
           needs=("patching", "interventions")),
    Figure("adapters", "Layers", "Whole models and adapters", ("adapters",),
           "How models differ inside that are fine-tuned whole and with an adapter.",
           needs=("adapters", "significance", "adapter-pairs")),
    Figure("variance", "Performance", "What trainings vary by",
           ("variance", "variance-differences"),
           "What fine-tuned models vary by, and how far models are apart.",
           needs=("variance", "training-repeats")),
    Figure("head_lens", "Layers", "Head put on each layer", ("head_lens",),
           "At which layer the answer of a fine-tuned model is formed.", needs=("head_lens",)),
    Figure("head_importance", "Attention", "Importance of heads",
           ("head_importance", "head_correlations"),
           "How much the loss depends on each attention head, and whether such heads change more.",
           needs=("head_importance",)),
    Figure("representation_quality", "Layers", "Quality without labels",
           ("representation_quality",),
           "Entropy, effective rank, curvature and invariance of each layer, without labels.",
           needs=("representation_quality",)),
    Figure("usable_information", "Layers", "Usable information by layer",
           ("usable_information", "probes"),
           "How many bits about the label predictors can use of each layer.",
           needs=("usable_information",)),
)
# fmt: on

SUMMARY = Page(
    "summary",
    "summary.md",
    "Findings in sentences",
    "Summary",
    (
        *("scores", "training", "significance", "error_analysis", "probes", "similarity"),
        *("usable_information", "heads", "head_correlations", "interventions", "patching"),
        *(
            "head_lens",
            "adapters",
            "association",
            "variance",
            "variance-differences",
            "not_applicable",
        ),
    ),
    needs=("summary",),
)
EXPLORER = Page(
    "explorer",
    "explorer.html",
    "Interactive page of layers, heads and scores",
    "Explorer",
    (
        *("scores", "probes", "attention", "association", "association-points"),
        *("similarity", "layer_localization", "weight_change", "representation_quality"),
        *("usable_information", "head_lens", "patching", "interventions", "head_importance"),
        *("error_analysis", "not_applicable"),
    ),
    needs=("explorer",),
)
DESCRIPTION = Page(
    "describe_task",
    "data/{task}/report.html",
    "Examples, lengths and labels",
    "Data",
)
PAGES = (SUMMARY, EXPLORER, DESCRIPTION)

Entry = TypeVar("Entry", Table, Figure, Page)


def planned(entries: Iterable[Entry], chosen: set[str]) -> list[Entry]:
    """Those entries of a list that a study has.

    Args:
        entries: `TABLES`, `FIGURES` or `PAGES`.
        chosen: conditions that hold, as from `layerscope.config.jobs.analyses`.
    """
    return [entry for entry in entries if chosen.issuperset(entry.needs)]


def table_names(chosen: set[str]) -> list[str]:
    """Names of all tables that a study has; `chosen` as in `planned`."""
    return [name for table in planned(TABLES, chosen) for name in table.names]


def about_tables(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names of tables, each with what the table holds in a sentence."""
    about = {table.name: table.about for table in TABLES}
    about |= {name: text for table in TABLES for name, text in table.also.items()}
    return [(name, about[name]) for name in names]


def programs() -> dict[str, tuple[str, str | None]]:
    """Program and part, as in `core.code`, of each rule of a figure, a table or its parts."""
    found: dict[str, tuple[str, str | None]] = {}
    for table in TABLES:
        if table.part:
            found[f"part_{table.name}"] = ("make_table", table.part.module)
        found[table.rule] = ("make_table" if table.module else "join_tables", table.module)
    return found | {figure.rule: ("draw", figure.module) for figure in FIGURES}
