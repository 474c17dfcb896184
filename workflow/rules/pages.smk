"""Pages for readers: the summary and the explorer, from tables; what is in the data of each task.

Needs: tables; prepared data, and models for their tokenizers.
Gives: results/{study}/summary.md, results/{study}/explorer.html, results/{study}/data/{task}/report.html.
"""

from layerscope.config.description import description_settings, tokenizer_of

SUMMARISED = tables_there(catalogue.SUMMARY.tables)
#: What readers must know of a model; follows its name.
NOTES = canonical_json(
    {name: model.note for name, model in STUDY.models.items() if model.note}
)
EXPLORED = tables_there(catalogue.EXPLORER.tables)
#: Models whose folders have the tokenizers of all.
TOKENIZERS = sorted({tokenizer_of(STUDY, model) for model in MODELS})


rule summary:
    """The study's findings in sentences, each with its interval."""
    input:
        **SUMMARISED,
    output:
        report(
            f"{RESULTS}/{catalogue.SUMMARY.file}",
            caption="../report/summary.rst",
            category=catalogue.SUMMARY.category,
            labels=catalogue.SUMMARY.labels,
        ),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{TIMES}/summary.tsv"
    group:
        grouped("summary")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("summary"),
    params:
        **job("summary", "summarise"),
        statistics=STATISTICS,
        notes=fixed(NOTES),
        study=STUDY.study,
        tables=named_inputs("--tables"),
    shell:
        "python {params.program:q} --study {params.study} --settings {params.statistics:q}"
        " --notes {params.notes:q} {params.tables} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule explorer:
    """A page in which a reader chooses what of the tables to see; it opens offline."""
    input:
        **EXPLORED,
    output:
        report(
            f"{RESULTS}/{catalogue.EXPLORER.file}",
            caption="../report/explorer.rst",
            category=catalogue.EXPLORER.category,
            labels=catalogue.EXPLORER.labels,
        ),
    log:
        f"{LOGS}/explorer.log",
    benchmark:
        f"{TIMES}/explorer.tsv"
    group:
        grouped("explorer")
    conda:
        "../../envs/plot.yaml"
    resources:
        **needed("explorer"),
    params:
        **job("explorer", "draw_explorer"),
        study=STUDY.study,
        tables=named_inputs("--tables"),
    shell:
        "python {params.program:q} --study {params.study} {params.tables} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule describe_task:
    """A page on the data of a task: labels, lengths as models read it, repairs, overlap, examples."""
    input:
        tokenizers=[folder_of(model) for model in TOKENIZERS],
        data_report=f"{RESULTS}/data/{{task}}/report.json",
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        validation=f"{RESULTS}/data/{{task}}/validation.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    output:
        report(
            f"{RESULTS}/{catalogue.DESCRIPTION.file}",
            caption="../report/describe_task.rst",
            category=catalogue.DESCRIPTION.category,
            labels=catalogue.DESCRIPTION.labels,
        ),
    log:
        f"{LOGS}/describe_task/{{task}}.log",
    benchmark:
        f"{TIMES}/describe_task/{{task}}.tsv"
    group:
        grouped("describe_task")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("describe_task"),
    params:
        **job("describe_task", "describe_task"),
        study=STUDY.study,
        settings=lambda wildcards: description_settings(STUDY, wildcards.task),
        tokenizers=lambda wildcards, input: named(
            "--tokenizers", dict(zip(TOKENIZERS, input.tokenizers, strict=True))
        ),
    shell:
        "python {params.program:q} --study {params.study} --task {wildcards.task}"
        " --data-report {input.data_report} --train {input.train} --validation {input.validation}"
        " --test {input.test} {params.tokenizers} --settings {params.settings:q} --out {output}"
        " --record {params.record} > {log} 2>&1"
