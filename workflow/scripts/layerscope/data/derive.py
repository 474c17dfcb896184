"""Tasks derived from the ontology, by the kind of their source."""

from __future__ import annotations

from collections.abc import Mapping

from layerscope.data import hpo_ner, hpo_nli
from layerscope.data.hpo import assign_splits
from layerscope.data.ontology import Ontology, provenance
from layerscope.data.prepared import SPLITS, PreparedTask, Row
from layerscope.data.sampling import limited


def derive_task(
    ontology: Ontology, source: str, limit: Mapping[str, int | None], seed: int
) -> PreparedTask:
    """Derive a task.

    Args:
        ontology: the terms.
        source: `hpo-nli` or `hpo-ner`.
        limit: the most examples of each split; whole groups are chosen, stratified.
        seed: of splits, premises and limits.
    """
    split_of = assign_splits(ontology, seed)
    rows: Mapping[str, list[Row]]
    if source == "hpo-nli":
        kind, labels, caveats = "nli", hpo_nli.LABELS, hpo_nli.CAVEATS
        rows = hpo_nli.make_pairs(ontology, split_of, seed)
        facts: dict[str, int] = {}
    else:
        kind, labels, caveats = "ner", hpo_ner.LABELS, hpo_ner.CAVEATS
        rows = hpo_ner.make_sentences(ontology, split_of)
        names = hpo_ner.entity_names(ontology)
        facts = {
            "names": len(names),
            "names_of_several_types": sum(len(types) > 1 for types in names.values()),
        }
    return PreparedTask(
        kind=kind,
        labels=labels,
        splits={split: limited(kind, rows[split], limit[split], seed, split) for split in SPLITS},
        source=provenance(ontology),
        facts={
            "seed": seed,
            "limit": dict(limit),
            "available": {split: len(rows[split]) for split in SPLITS},
            **facts,
        },
        caveats=caveats,
    )
