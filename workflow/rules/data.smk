"""The configuration as read, labelled data, corpora and samples.

Needs: the packages that data is derived from; files of the user's or of a hub.
Gives: results/{study}/config.json (the resolved configuration), results/{study}/tables/README.md (what columns hold),
    results/{study}/data/{task}/{split}.parquet with report.json,
    results/{study}/corpora/{corpus}/{train,heldout}.parquet with report.json,
    results/{study}/samples/{task}/f{percent}-s{seed}.parquet (ids, nested within a seed),
    results/{study}/samples/{task}/probe-{split}.parquet (ids of the rows that probes learn from).
"""

#: Where the configuration was read from; an audit compares these files with what it was then.
#: A module's comes from the workflow that uses it, which may have computed it.
CONFIGURED = (
    {"files": [], "given": dict(config)}
    if IS_MODULE
    else {
        "files": [os.path.relpath(path) for path in workflow.configfiles],
        "given": dict(workflow.config_settings.config),
    }
)


rule configuration:
    """Keep the resolved configuration beside the results, and what columns of tables hold."""
    output:
        configuration=f"{RESULTS}/config.json",
        columns=f"{TABLES}/README.md",
    log:
        f"{LOGS}/configuration.log",
    benchmark:
        f"{TIMES}/configuration.tsv"
    conda:
        "../../envs/plot.yaml"
    resources:
        **needed("configuration"),
    params:
        **job("configuration", "write_config", configuration=CONFIGURED),
        configuration=fixed(argument(canonical_json(STUDY.model_dump(mode="json")))),
        tables=catalogue.table_names(ANALYSES),
        words=sha256_file(f"{PROGRAMS}/layerscope/core/formats/columns.toml"),
    shell:
        "python {params.program:q} --configuration {params.configuration}"
        " --tables {params.tables} --words {params.words}"
        " --out {output.configuration} --out-columns {output.columns}"
        " --record {params.record} > {log} 2>&1"


rule prepare_task:
    """Make a task's canonical tables, derived or read from files, with a report."""
    input:
        own_files,
        fetched=fetched_files,
    output:
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        validation=f"{RESULTS}/data/{{task}}/validation.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
        report=f"{RESULTS}/data/{{task}}/report.json",
    log:
        f"{LOGS}/prepare_task/{{task}}.log",
    benchmark:
        f"{TIMES}/prepare_task/{{task}}.tsv"
    group:
        grouped("prepare_task")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("prepare_task"),
    params:
        **job("prepare_task", "prepare_task", packages=task_packages),
        folder=subpath(output.report, parent=True),
        settings=lambda wildcards: argument(jobs.task_settings(STUDY, wildcards.task)),
        statements=task_statements,
        data=data_folder_given,
        packages=task_packages,
    shell:
        "python {params.program:q} --settings {params.settings}"
        " --statements {params.statements:q} --folder {params.data:q} --out-dir {params.folder}"
        " --record {params.record} > {log} 2>&1"


rule prepare_corpus:
    """Make plain text to pre-train on, with a held-out part."""
    input:
        own_texts,
    output:
        train=f"{RESULTS}/corpora/{{corpus}}/train.parquet",
        heldout=f"{RESULTS}/corpora/{{corpus}}/heldout.parquet",
        report=f"{RESULTS}/corpora/{{corpus}}/report.json",
    log:
        f"{LOGS}/prepare_corpus/{{corpus}}.log",
    benchmark:
        f"{TIMES}/prepare_corpus/{{corpus}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("prepare_corpus"),
    params:
        **job("prepare_corpus", "prepare_corpus", packages=corpus_packages),
        folder=subpath(output.report, parent=True),
        settings=lambda wildcards: jobs.corpus_settings(STUDY, wildcards.corpus),
        packages=corpus_packages,
    shell:
        "python {params.program:q} --settings {params.settings:q}"
        " --out-dir {params.folder}"
        " --record {params.record} > {log} 2>&1"


rule subsample:
    """Draw a fraction of the training data: stratified, whole groups, nested within a seed."""
    input:
        f"{RESULTS}/data/{{task}}/train.parquet",
    output:
        f"{RESULTS}/samples/{{task}}/f{{percent}}-s{{seed}}.parquet",
    log:
        f"{LOGS}/subsample/{{task}}/f{{percent}}-s{{seed}}.log",
    benchmark:
        f"{TIMES}/subsample/{{task}}/f{{percent}}-s{{seed}}.tsv"
    group:
        grouped("subsample")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("subsample"),
    params:
        **job("subsample", "subsample"),
        reserved=reserved,
    shell:
        "python {params.program:q} --data {input} --percent {wildcards.percent}"
        " --seed {wildcards.seed} {params.reserved} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule sample_for_probes:
    """Draw the capped sample of a split that every probe of a task learns from."""
    input:
        split_table,
    output:
        f"{RESULTS}/samples/{{task}}/probe-{{split}}.parquet",
    log:
        f"{LOGS}/sample_for_probes/{{task}}/{{split}}.log",
    benchmark:
        f"{TIMES}/sample_for_probes/{{task}}/{{split}}.tsv"
    group:
        grouped("sample_for_probes")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("sample_for_probes"),
    params:
        **job("sample_for_probes", "sample_for_probes"),
        kind=kind,
        limit=lambda wildcards: jobs.probe_limit(STUDY, wildcards.task, wildcards.split),
        seed=STUDY.data_seed,
        reserved=reserved_of_split,
    shell:
        "python {params.program:q} --data {input} --kind {params.kind} --split {wildcards.split}"
        " --limit {params.limit} --seed {params.seed} {params.reserved} --out {output}"
        " --record {params.record} > {log} 2>&1"


run_here("configuration")
