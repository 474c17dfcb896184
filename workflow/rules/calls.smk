"""How Snakemake was called, for programs that plan as it would, and what it says at its end.

Needs: the settings of Snakemake.
Gives: this_call(), a param of `check`, `estimate` and `explain`; before anything runs: which models have no attention maps;
    at the end of a run: which finished jobs are out of date.
"""

import atexit
from dataclasses import fields

from layerscope.resources.estimate import without_maps


def _as_options(resources):
    """Resources as the command line has them; Snakemake has some of its own."""
    return [
        f"{name}={each.raw}"
        for name, each in resources.items()
        if each.raw is not None and not name.startswith("_")
    ]


def _settings_of_engine():
    """Settings of the plugin that sends jobs, but those that may be secrets, by name."""
    engine = workflow.executor_settings
    return {
        field.name: str(value) if isinstance(value, Path) else value
        for field in (fields(engine) if engine else [])
        if not field.metadata.get("env_var")
        and isinstance(value := getattr(engine, field.name), Path | str | int | None)
    }


def this_call(wildcards):
    """How Snakemake was called, for a dry run that plans as it would."""
    settings, dag = workflow.config_settings, workflow.dag_settings
    asked = workflow.resource_settings
    return canonical_json(
        {
            "resources": _as_options(asked._parsed_resources),
            "resource_scopes": dict(asked.overwrite_resource_scopes),
            "default_resources": _as_options(asked._parsed_default_resources),
            "set_resources": [
                f"{rule}:{option}"
                for rule, resources in asked._parsed_overwrite_resources.items()
                for option in _as_options(resources)
            ],
            "group_components": dict(workflow.group_settings.group_components),
            "retries": workflow.execution_settings.retries,
            "local": workflow.local_exec,
            "engine": _settings_of_engine(),
            "snakefile": os.path.relpath(workflow.main_snakefile),
            "configfiles": [os.path.relpath(p) for p in workflow.overwrite_configfiles],
            "config": dict(settings.config),
            "replace_workflow_config": settings.replace_workflow_config,
            "rerun_triggers": sorted(t.item_to_choice() for t in dag.rerun_triggers),
            "max_checksum_file_size": dag.max_checksum_file_size,
            "deployment_method": sorted(
                m.item_to_choice()
                for m in workflow.deployment_settings.deployment_method
            ),
        }
    )


def report_stale():
    """Say which finished jobs would be made otherwise now although Snakemake left them as they are.

    Snakemake calls no handler of its own when it finds nothing to do. The run is over by then, so
    no error may end in a traceback.
    """
    from layerscope.provenance.planned import left_alone
    from layerscope.provenance.stale import facts_reader, stale, stale_in_words

    try:
        facts = facts_reader()
        found = stale((job, facts(job)) for job in left_alone(workflow))
        text = stale_in_words(found, brief=True)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"Could not check whether finished jobs are out of date: {reason}"
    if text:
        print(f"\n{text}", file=sys.stderr)


if workflow.is_main_process:
    atexit.register(report_stale)
    # Programs that plan as Snakemake would (`estimate`, `explain`) need not say it again.
    called_as = os.path.dirname(os.path.realpath(sys.argv[0]))
    if called_as != os.path.realpath(PROGRAMS) and without_maps(SIZES):
        print(without_maps(SIZES), file=sys.stderr)
