"""Jobs that a scheduler runs as one.

Needs: STUDY and SIZES (common.smk); own_rules() (job.smk), once rules are there.
Gives: grouped(), which rules call, and is_further(), for the time that a job asks for.
"""

from layerscope.resources.groups import group_of
from layerscope.resources.needs import probes_on_gpus


@cache
def group_name(rule):
    """The group of a rule's jobs; none of probes if some of them request a GPU, which others would hold."""
    apart = rule == "probe" and probes_on_gpus(STUDY, SIZES)
    return None if apart else group_of(rule)


def grouped(rule):
    """Group of a rule's jobs that a scheduler is to run as one, under a profile that has `group_slot`.

    That resource makes Snakemake request what the largest job needs, not the sum of all.
    """
    scopes = workflow.resource_settings.overwrite_resource_scopes
    # On the node, where the group is one job already, its rules are run one after the other.
    return (
        group_name(rule)
        if "group_slot" in scopes and not workflow.remote_exec
        else None
    )


@cache
def further_jobs():
    """Jobs of groups but the first of each, which asks for the minutes that a job needs to start.

    Snakemake forms groups before it asks for resources.
    """
    dag = workflow.dag
    groups = {dag.get_job_group(job) for job in dag.needrun_jobs()} - {None}
    members = (
        sorted(
            (job.rule.name, canonical_json(job.wildcards_dict)) for job in group.jobs
        )
        for group in groups
    )
    return {job for group in members for job in group[1:]}


def is_further(rule, wildcards):
    """Whether a job is in a group, and not the first one of it."""
    if grouped(rule) is None:
        return False
    key = own_rules(rule)[0].name, canonical_json(dict(wildcards.items()))
    return key in further_jobs()
