"""Which small jobs a scheduler runs as one, one after the other.

Groups are bounded: one has at most the parts of one task and model, or as many jobs as the profile
says in `group-components`. No job of a group needs one of another group that needs the first.
"""

from __future__ import annotations

_GROUPS = {
    "prepare_task": "data_{task}",
    "subsample": "data_{task}",
    "sample_for_probes": "data_{task}",
    "baseline": "baseline_{task}",
    "probe": "probe_{task}_{model}_{variant}",
    "similarity": "probe_{task}_{model}_{variant}",
    "usable_information": "probe_{task}_{model}_{variant}",
    "score": "scores_{task}",
    "part_significance": "scores_{task}",
    "summary": "figures",
    "explorer": "figures",
    "describe_task": "figures",
}


def group_of(rule: str) -> str | None:
    """The group that jobs of a rule are in, with the rule's wildcards; None for costly rules."""
    if rule.startswith("figure_"):
        return "figures"
    if rule.startswith("table_"):
        return "tables"
    return _GROUPS.get(rule, "parts_{task}_{model}" if rule.startswith("part_") else None)
