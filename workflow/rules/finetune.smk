"""Fine-tuning of every model on every sample of every task.

Needs: a pre-trained model, prepared data, a sample.
Gives: results/{study}/finetuned/{task}/{model}/f{percent}-s{seed}/ (model, tokenizer, history.json).
"""


rule finetune:
    """Fine-tune the whole model and a new head with the Hugging Face Trainer."""
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
    threads: 1
    resources:
        mem_mb=memory("finetune"),
        runtime=minutes("finetune"),
        gpu=gpus("finetune"),
    params:
        kind=kind,
        architecture=architecture,
        settings=lambda wildcards: jobs.finetuning_settings(
            STUDY, wildcards.task, wildcards.model
        ),
        merge_tags=merge_tags,
        checkpoints=lambda wildcards: Path(
            f"{RESULTS}/checkpoints/finetune",
            wildcards.task,
            wildcards.model,
            f"f{wildcards.percent}-s{wildcards.seed}",
        ),
        record=record("finetune"),
        program=program("finetune"),
        code=code_digest("finetune"),
    shell:
        "python {params.program} --gpus {resources.gpu} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --seed {wildcards.seed} --model {input.model}"
        " --train {input.train} --sample {input.sample} --validation {input.validation}"
        " {params.merge_tags} --checkpoints {params.checkpoints} --out {output}"
        " --record {params.record:q} > {log} 2>&1"
