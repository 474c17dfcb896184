"""Models that the workflow pre-trains itself.

Needs: corpora; a fetched model to continue from, or none.
Gives: results/{study}/pretrained/{model}/ and results/{study}/pretrained/{model}.json (held-out loss).
"""

MADE = [model for model in MODELS if jobs.is_pretrained_here(STUDY, model)]


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
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("pretrain"),
        runtime=minutes("pretrain"),
        gpu=gpus("pretrain"),
    params:
        base=lambda wildcards: (
            f"--base {base_folder(wildcards)}" if base_folder(wildcards) else ""
        ),
        corpus=lambda wildcards: jobs.corpus_of(STUDY, wildcards.model),
        architecture=architecture,
        settings=lambda wildcards: jobs.pretraining_settings(STUDY, wildcards.model),
        checkpoints=lambda wildcards: Path(
            f"{RESULTS}/checkpoints/pretrain/{wildcards.model}"
        ),
        record=record("pretrain"),
        program=program("pretrain"),
        code=code_digest("pretrain"),
    shell:
        "python {params.program} --gpus {resources.gpu} --name {wildcards.model} --corpus-name {params.corpus}"
        " --architecture {params.architecture} --settings {params.settings:q} {params.base}"
        " --train {input.train} --heldout {input.heldout} --checkpoints {params.checkpoints}"
        " --out {output.model} --out-evaluation {output.evaluation}"
        " --record {params.record:q} > {log} 2>&1"
