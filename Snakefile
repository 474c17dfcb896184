"""layerscope: what a language model encodes, layer by layer, before and after fine-tuning.

`snakemake --profile profiles/local` runs the demo study of config/config.yaml;
`--configfile FILE` runs another study instead (the files are not merged with the demo's).
`snakemake download` fetches the study's models and data and does nothing else: on a login node.
`snakemake estimate` says what the study will cost and does nothing else.
`snakemake crate` exports a finished study as a Workflow Run RO-Crate and does nothing else.
`snakemake explain` says which jobs would run now, and why, and does nothing else.
"""

from snakemake.utils import min_version

min_version("9.20")

if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/extract.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/similarity.smk"
include: "workflow/rules/interventions.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        figures=all_figures(),
        tables=all_tables(),
        data=collect(f"{RESULTS}/data/{{task}}/report.json", task=TASKS),
        pages=all_pages(),
        configuration=f"{RESULTS}/config.json",


localrules:
    crate,
    estimate,
    explain,


rule estimate:
    """Print jobs, hours of cores and GPUs, memory and disk of the study."""
    log:
        f"{LOGS}/estimate.log",
    conda:
        "envs/plot.yaml"
    params:
        configuration=canonical_json(STUDY.model_dump(mode="json")),
        program=program("estimate"),
    shell:
        "python {params.program} --configuration {params.configuration:q} 2>&1 | tee {log}"


rule crate:
    """Export the finished study with all that is known of its making, as an RO-Crate."""
    log:
        f"{LOGS}/crate.log",
    conda:
        "envs/plot.yaml"
    params:
        study=STUDY.study,
        targets=lambda wildcards: canonical_json(
            [str(path) for path in rules.all.input]
        ),
        configuration=canonical_json(STUDY.model_dump(mode="json")),
        given=CONFIGURED["files"],
        rules=lambda wildcards: canonical_json(
            {rule.name: rule.docstring or "" for rule in workflow.rules}
        ),
        out=f"{RESULTS}/crate",
        program=program("export_crate"),
    shell:
        "python {params.program} --study {params.study} --targets {params.targets:q}"
        " --configuration {params.configuration:q} --given {params.given:q} --rules {params.rules:q}"
        " --out {params.out} 2>&1 | tee {log}"


rule explain:
    """Print which jobs would run now, and why."""
    log:
        f"{LOGS}/explain.log",
    conda:
        "envs/plot.yaml"
    params:
        call=this_call,
        total=lambda wildcards: 1 + sum(1 for _ in planned_jobs(STUDY)),  # with `all`
        python=sys.executable,  # Snakemake's own, since it asks Snakemake
        program=program("explain"),
    shell:
        "{params.python:q} {params.program} --call {params.call:q} --total {params.total} 2>&1 | tee {log}"


rule download:
    input:
        models=collect("resources/models/{model}", model=FETCHED),
        data=collect("resources/datasets/{task}", task=HUB_TASKS),
