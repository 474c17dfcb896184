"""Causal checks on fine-tuned models of the largest training fraction: heads masked, the label erased at a layer.

Needs: the model, its attention before and after (else no head is masked), prepared data: test, and the rows that probes learn from.
Gives: results/{study}/interventions/{task}/{model}/{variant}.parquet (intervention, ablation, fitted, layer,
    share, draw, metric, value, change, edit, probe, probe_before, probe_chance).
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
