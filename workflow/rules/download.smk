"""Models and data that come from elsewhere: the only rules that use a network.

They run where Snakemake itself runs, a login node, and `snakemake download` runs nothing else.
Needs: packages or folders that hold a model; repositories of a hub (HF_TOKEN for gated ones).
Gives: resources/models/{model}/ (safetensors, configuration, tokenizer, source.json),
    resources/datasets/{task}/ (files as in the repository, source.json).
"""


rule fetch_model:
    """Copy or download a model's files, hashed, so that nothing later reads outside the project."""
    input:
        model_files,
    output:
        directory("resources/models/{model}"),
    log:
        "logs/fetch_model/{model}.log",
    benchmark:
        f"{TIMES}/fetch_model/{{model}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("fetch_model"),
    params:
        **job("fetch_model", "fetch_model", packages=model_packages),
        settings=lambda wildcards: jobs.source_settings(STUDY, wildcards.model),
        sha256=model_digests,
        packages=model_packages,
    shell:
        "python {params.program:q} --settings {params.settings:q} --sha256 {params.sha256:q}"
        " --out {output}"
        " --record {params.record} > {log} 2>&1"


rule fetch_files:
    """Download a task's files from a data set repository; no code of it is run."""
    output:
        directory("resources/datasets/{task}"),
    log:
        "logs/fetch_files/{task}.log",
    benchmark:
        f"{TIMES}/fetch_files/{{task}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("fetch_files"),
    params:
        **job("fetch_files", "fetch_files"),
        settings=lambda wildcards: jobs.file_settings(STUDY, wildcards.task),
        sha256=file_digests,
    shell:
        "python {params.program:q} --settings {params.settings:q} --sha256 {params.sha256:q}"
        " --out {output}"
        " --record {params.record} > {log} 2>&1"


run_here("fetch_model", "fetch_files")
