"""Pre-trained models, fetched or made.

Needs: packages or folders that hold a model; corpora.
Gives: resources/models/{model}/ (safetensors, configuration, tokenizer, source.json),
    results/{study}/pretrained/{model}/ and results/{study}/pretrained/{model}.json (held-out loss).
"""

MADE = [model for model in MODELS if jobs.is_pretrained_here(STUDY, model)]


rule fetch_model:
    """Copy a model's files, hashed, so that nothing later reads outside the project."""
    output:
        directory("resources/models/{model}"),
    log:
        "logs/fetch_model/{model}.log",
    benchmark:
        f"{TIMES}/fetch_model/{{model}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        settings=lambda wildcards: jobs.source_settings(STUDY, wildcards.model),
        program=program("fetch_model"),
        code=code_digest("fetch_model"),
    shell:
        "python {params.program} --settings {params.settings:q} --out {output}"
        " > {log} 2>&1"


rule pretrain:
    """Pre-train a model, from scratch or from another one, and measure it on held-out text."""
    input:
        base=base_folder,
        train=lambda wildcards: corpus_part(wildcards, "train"),
        heldout=lambda wildcards: corpus_part(wildcards, "heldout"),
    output:
        model=directory(f"{RESULTS}/pretrained/{{model}}"),
        evaluation=f"{RESULTS}/pretrained/{{model}}.json",
    log:
        f"{LOGS}/pretrain/{{model}}.log",
    benchmark:
        f"{TIMES}/pretrain/{{model}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=120,
    params:
        base=lambda wildcards: (
            f"--base {base_folder(wildcards)}" if base_folder(wildcards) else ""
        ),
        corpus=lambda wildcards: jobs.corpus_of(STUDY, wildcards.model),
        architecture=architecture,
        settings=lambda wildcards: jobs.pretraining_settings(STUDY, wildcards.model),
        program=program("pretrain"),
        code=code_digest("pretrain"),
    shell:
        "python {params.program} --name {wildcards.model} --corpus-name {params.corpus}"
        " --architecture {params.architecture} --settings {params.settings:q} {params.base}"
        " --train {input.train} --heldout {input.heldout}"
        " --out {output.model} --out-evaluation {output.evaluation} > {log} 2>&1"
