"""Causal checks on fine-tuned models of the largest training fraction: heads masked, the label erased at a layer,
layers exchanged with those of before.

Needs: the model, its attention before and after (else no head is masked), prepared data: test, and the rows that probes learn from.
    To exchange layers: the model, that before fine-tuning, and test data.
Gives: results/{study}/interventions/{task}/{model}/{variant}.parquet (intervention, ablation, fitted, layer,
    share, draw, metric, value, change, edit, probe, probe_before, probe_chance),
    results/{study}/patching/{task}/{model}/{variant}.parquet (patch, direction, layer, weight, metric, value, change).
"""


rule intervene:
    """What masked heads and an erased label cost a fine-tuned model in score."""
    input:
        unpack(main_probe_rows),
        model=f"{RESULTS}/finetuned/{{task}}/{{model}}/{{variant}}",
        adapter_base=adapter_base,
        attention=ranking,
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    output:
        f"{RESULTS}/interventions/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/intervene/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/intervene/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(INTERVENED),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("intervene", gpu=True),
    params:
        **job("intervene", "intervene"),
        kind=kind,
        architecture=architecture,
        settings=jobs.intervention_settings(STUDY),
        passes=jobs.pass_settings(STUDY),
        merge_tags=merge_tags,
        attention=ranking_option,
        weights=weights,
        adapter_base=adapter_base_option,
        limit=lambda wildcards: jobs.prediction_limit(
            STUDY, wildcards.task, wildcards.model
        ),
    shell:
        "python {params.program:q} --gpus {resources.gpu} --task {wildcards.task} --name {wildcards.model}"
        " --variant {wildcards.variant} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --passes {params.passes:q}"
        " --max-length {params.limit} {params.merge_tags}"
        " --model {input.model} {params.weights} {params.adapter_base} {params.attention}"
        " --reference {input.data} --sample {input.sample} --test {input.test} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule patch:
    """What a score owes to the change of each layer, by layers of before and after exchanged."""
    input:
        before=model_folder,
        model=f"{RESULTS}/finetuned/{{task}}/{{model}}/{{variant}}",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    output:
        f"{RESULTS}/patching/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/patch/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/patch/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(INTERVENED),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("patch", gpu=True),
    params:
        **job("patch", "patch"),
        kind=kind,
        architecture=architecture,
        settings=jobs.scored_settings(STUDY),
        passes=jobs.pass_settings(STUDY),
        merge_tags=merge_tags,
        weights=weights,
        limit=lambda wildcards: jobs.prediction_limit(
            STUDY, wildcards.task, wildcards.model
        ),
    shell:
        "python {params.program:q} --gpus {resources.gpu}"
        " --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --passes {params.passes:q}"
        " --max-length {params.limit} {params.merge_tags}"
        " --model {input.model} {params.weights} --before {input.before}"
        " --test {input.test} --out {output}"
        " --record {params.record} > {log} 2>&1"
