"""layerscope: what a language model encodes, layer by layer, before and after fine-tuning.

`snakemake --profile profiles/local` runs the demo study of config/config.yaml;
`--configfile FILE` runs another study instead (the files are not merged with the demo's).
`snakemake download` fetches the study's models and data and does nothing else: on a login node.
`snakemake estimate` says what the study will cost and does nothing else.
`snakemake check` asks the scheduler whether it would accept one job of each kind and does nothing else.
`snakemake crate` exports a finished study as a Workflow Run RO-Crate and does nothing else.
`snakemake explain` says which jobs would run now, and why, and does nothing else.
`snakemake report` makes the report of a study and the audit's page.
`snakemake pack` packs a finished study for somebody who verifies it and does nothing else.
`snakemake clean` lists what an earlier configuration left in the study's folder and does nothing else.
`snakemake remove_leftovers` removes what `clean` lists.
"""


include: "workflow/Snakefile"


# Snakemake takes no default from a file that is included.
workflow.default_target = workflow.modifier.modify_rulename("all")
