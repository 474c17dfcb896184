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
include: "workflow/rules/job.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/extract.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/similarity.smk"
include: "workflow/rules/interventions.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/pages.smk"
include: "workflow/rules/tools.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        figures=all_figures(),
        tables=all_tables(),
        data=collect(f"{RESULTS}/data/{{task}}/report.json", task=TASKS),
        pages=all_pages(),
        configuration=f"{RESULTS}/config.json",


rule download:
    input:
        models=collect("resources/models/{model}", model=FETCHED),
        data=collect("resources/datasets/{task}", task=HUB_TASKS),
