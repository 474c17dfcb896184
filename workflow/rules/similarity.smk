"""How similar representations are: a variant and the pre-trained model, and models with each other.

Needs: activations of the test data.
Gives: results/{study}/similarity/{task}/{model}/{variant}.parquet (view, layer, measure, value),
    results/{study}/models/{task}/{variant}.parquet (a row a pair of models and of layers).
"""

COMPARED = jobs.compared_variants(STUDY)
SORTED_MODELS = sorted(
    MODELS
)  # the order in the configuration is no reason to run again


rule similarity:
    """How far each layer has moved from the pre-trained model, and how it fills its space."""
    input:
        activations=f"{RESULTS}/activations/{{task}}/{{model}}/{{variant}}",
        before=pretrained_activations,
    output:
        f"{RESULTS}/similarity/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/similarity/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/similarity/{{task}}/{{model}}/{{variant}}.tsv"
    priority: 10  # before further activations, which may wait on disk for it
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("similarity"),
        runtime=minutes("similarity"),
    params:
        before=lambda wildcards: (
            f"--before {pretrained_activations(wildcards)}"
            if pretrained_activations(wildcards)
            else ""
        ),
        views=views,
        record=record("similarity"),
        program=program("measure_similarity"),
        code=code_digest("measure_similarity"),
    shell:
        "python {params.program} --activations {input.activations} {params.before}"
        " --views {params.views} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule compare_models:
    """How similar models are at equal relative depth, all as the same variant."""
    input:
        collect(
            f"{RESULTS}/activations/{{{{task}}}}/{{model}}/{{{{variant}}}}",
            model=SORTED_MODELS,
        ),
    output:
        f"{RESULTS}/models/{{task}}/{{variant}}.parquet",
    log:
        f"{LOGS}/compare_models/{{task}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/compare_models/{{task}}/{{variant}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_models"),
        runtime=minutes("compare_models"),
    params:
        models=SORTED_MODELS,
        views=views,
        record=record("compare_models"),
        program=program("compare_models"),
        code=code_digest("compare_models"),
    shell:
        "python {params.program} --task {wildcards.task} --variant {wildcards.variant}"
        " --models {params.models} --activations {input} --views {params.views} --out {output}"
        " --record {params.record:q} > {log} 2>&1"
