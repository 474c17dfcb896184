"""The head lens: the head of fine-tuned models of the largest training fraction put on each of their layers.

Needs: the model, prepared data: test, and the rows that probes learn from.
Gives: results/{study}/head_lens/{task}/{model}/{variant}.parquet (lens, layer, metric, value).
"""


rule head_lens:
    """How a fine-tuned model's head answers from each layer, and whether as from the last one."""
    input:
        unpack(main_probe_rows),
        model=f"{RESULTS}/finetuned/{{task}}/{{model}}/{{variant}}",
        adapter_base=adapter_base,
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    output:
        f"{RESULTS}/head_lens/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/head_lens/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/head_lens/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(LENSED),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("head_lens", gpu=True),
    params:
        **job("head_lens", "head_lens"),
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
