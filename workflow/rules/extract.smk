"""Everything that needs a forward pass of a variant: activations, attention, predictions.

One job loads a model once for all three. Which activations stay is `activations.keep`: the rules
`…_passing` are the same for variants whose activations go once every probe has read them.
Needs: the variant's model, prepared data, the sample that probes train on.
Gives: results/{study}/activations/{task}/{model}/{variant}/{view}/{train,test}.parquet,
    results/{study}/attention/{task}/{model}/{variant}.parquet,
    results/{study}/predictions/{task}/{model}/{variant}.parquet (fine-tuned variants).
"""

ACTIVATIONS = jobs.activation_settings(STUDY)
ATTENTION = jobs.attention_settings(STUDY)
BASES = [v for v in VARIANTS if v not in TUNED]


rule extract_base:
    """The pre-trained model, and the same architecture with random weights."""
    input:
        model=model_folder,
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
        sample=f"{RESULTS}/samples/{{task}}/probe.parquet",
    output:
        activations=directory(f"{RESULTS}/activations/{{task}}/{{model}}/{{variant}}"),
        attention=f"{RESULTS}/attention/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/extract/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/extract/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(v for v in BASES if v in KEPT),
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_base"),
        runtime=minutes("extract_base"),
        gpu=gpus("extract_base"),
    params:
        kind=kind,
        architecture=architecture,
        views=views,
        settings=ACTIVATIONS,
        attention=ATTENTION,
        record=record("extract_base"),
        program=program("extract"),
        code=code_digest("extract"),
    shell:
        "python {params.program} --gpus {resources.gpu} --task {wildcards.task} --name {wildcards.model}"
        " --variant {wildcards.variant} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --attention-settings {params.attention:q}"
        " --train {input.train} --train-sample {input.sample} --test {input.test}"
        " --views {params.views} --model {input.model}"
        " --out-activations {output.activations} --out-attention {output.attention}"
        " --record {params.record:q} > {log} 2>&1"


rule extract_finetuned:
    """A fine-tuned model; its attention is compared with the pre-trained one's."""
    input:
        model=f"{RESULTS}/finetuned/{{task}}/{{model}}/{{tuned}}",
        before=model_folder,
        other_seed=other_seed,
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
        sample=f"{RESULTS}/samples/{{task}}/probe.parquet",
    output:
        activations=directory(f"{RESULTS}/activations/{{task}}/{{model}}/{{tuned}}"),
        attention=f"{RESULTS}/attention/{{task}}/{{model}}/{{tuned}}.parquet",
        predictions=f"{RESULTS}/predictions/{{task}}/{{model}}/{{tuned}}.parquet",
    log:
        f"{LOGS}/extract/{{task}}/{{model}}/{{tuned}}.log",
    benchmark:
        f"{TIMES}/extract/{{task}}/{{model}}/{{tuned}}.tsv"
    wildcard_constraints:
        tuned=one_of(v for v in TUNED if v in KEPT),
    conda:
        "../../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("extract_finetuned"),
        runtime=minutes("extract_finetuned"),
        gpu=gpus("extract_finetuned"),
    params:
        kind=kind,
        architecture=architecture,
        views=views,
        settings=ACTIVATIONS,
        attention=ATTENTION,
        other_seed=lambda wildcards: (
            f"--other-seed {other_seed(wildcards)}" if other_seed(wildcards) else ""
        ),
        merge_tags=merge_tags,
        limit=lambda wildcards: jobs.prediction_limit(
            STUDY, wildcards.task, wildcards.model
        ),
        record=record("extract_finetuned"),
        program=program("extract"),
        code=code_digest("extract"),
    shell:
        "python {params.program} --gpus {resources.gpu} --task {wildcards.task} --name {wildcards.model}"
        " --variant {wildcards.tuned} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --attention-settings {params.attention:q}"
        " --train {input.train} --train-sample {input.sample} --test {input.test}"
        " --views {params.views} --model {input.model} --before {input.before} {params.other_seed}"
        " --out-activations {output.activations} --out-attention {output.attention}"
        " --out-predictions {output.predictions} --max-length {params.limit} {params.merge_tags}"
        " --record {params.record:q} > {log} 2>&1"


use rule extract_base as extract_base_passing with:
    output:
        activations=temp(
            directory(f"{RESULTS}/activations/{{task}}/{{model}}/{{variant}}")
        ),
        attention=f"{RESULTS}/attention/{{task}}/{{model}}/{{variant}}.parquet",
    wildcard_constraints:
        variant=one_of(v for v in BASES if v not in KEPT),


use rule extract_finetuned as extract_finetuned_passing with:
    output:
        activations=temp(
            directory(f"{RESULTS}/activations/{{task}}/{{model}}/{{tuned}}")
        ),
        attention=f"{RESULTS}/attention/{{task}}/{{model}}/{{tuned}}.parquet",
        predictions=f"{RESULTS}/predictions/{{task}}/{{model}}/{{tuned}}.parquet",
    wildcard_constraints:
        tuned=one_of(v for v in TUNED if v not in KEPT),
