"""Importance of the attention heads of fine-tuned models of the largest training fraction.

Needs: the model, prepared data: the rows that probes learn from, and of the test rows the names of labels.
Gives: results/{study}/head_importance/{task}/{model}/{variant}.parquet (example_id, layer, head, key_value_head, gradient).
"""


rule head_importance:
    """How much the loss of a fine-tuned model depends on each of its attention heads."""
    input:
        unpack(main_probe_rows),
        model=f"{RESULTS}/finetuned/{{task}}/{{model}}/{{variant}}",
        adapter_base=adapter_base,
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    output:
        f"{RESULTS}/head_importance/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/head_importance/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/head_importance/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(WEIGHED),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("head_importance", gpu=True),
    params:
        **job("head_importance", "head_importance"),
        kind=kind,
        architecture=architecture,
        settings=jobs.scored_settings(STUDY),
        passes=jobs.pass_settings(STUDY),
        merge_tags=merge_tags,
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
        " --model {input.model} {params.weights} {params.adapter_base}"
        " --reference {input.data} --sample {input.sample} --test {input.test} --out {output}"
        " --record {params.record} > {log} 2>&1"
