"""Models that the workflow pre-trains itself, and fine-tuning of every model on every sample of every task.

Needs: corpora, a fetched model to continue from, or none; a pre-trained model, prepared data, a sample.
Gives: results/{study}/pretrained/{model}/ and results/{study}/pretrained/{model}.json (held-out loss),
    results/{study}/finetuned/{task}/{model}/f{percent}-s{seed}/ (model and tokenizer, or an adapter; history.json).
"""


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
    resources:
        **needed("pretrain", gpu=True),
    params:
        **job("pretrain", "pretrain"),
        base=base_option,
        corpus=lambda wildcards: jobs.corpus_of(STUDY, wildcards.model),
        architecture=architecture,
        settings=lambda wildcards: jobs.pretraining_settings(STUDY, wildcards.model),
        checkpoints=checkpoints("pretrained", "pretrain"),
    shell:
        "python {params.program:q} --gpus {resources.gpu} --name {wildcards.model} --corpus-name {params.corpus}"
        " --architecture {params.architecture} --settings {params.settings:q} {params.base}"
        " --train {input.train} --heldout {input.heldout} --checkpoints {params.checkpoints}"
        " --out {output.model} --out-evaluation {output.evaluation}"
        " --record {params.record} > {log} 2>&1"


rule finetune:
    """Fine-tune the whole model, or an adapter, and a new head with the Hugging Face Trainer."""
    input:
        model=model_folder,
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        validation=f"{RESULTS}/data/{{task}}/validation.parquet",
        sample=f"{RESULTS}/samples/{{task}}/f{{percent}}-s{{seed}}.parquet",
    output:
        directory(f"{RESULTS}/finetuned/{{task}}/{{model}}/f{{percent}}-s{{seed}}"),
    log:
        f"{LOGS}/finetune/{{task}}/{{model}}/f{{percent}}-s{{seed}}.log",
    benchmark:
        f"{TIMES}/finetune/{{task}}/{{model}}/f{{percent}}-s{{seed}}.tsv"
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("finetune", gpu=True),
    params:
        **job("finetune", "finetune"),
        kind=kind,
        architecture=architecture,
        settings=lambda wildcards: jobs.finetuning_settings(
            STUDY, wildcards.task, wildcards.model
        ),
        seed=lambda wildcards: STUDY.models[wildcards.model].seed_of(wildcards.seed),
        merge_tags=merge_tags,
        adapter=adapter,
        weights=weights,
        checkpoints=checkpoints("finetuned", "finetune"),
    shell:
        "python {params.program:q} --gpus {resources.gpu} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --seed {params.seed} --model {input.model}"
        " --train {input.train} --sample {input.sample} --validation {input.validation}"
        " {params.adapter} {params.weights} {params.merge_tags} --checkpoints {params.checkpoints} --out {output}"
        " --record {params.record} > {log} 2>&1"
