"""How similar representations are: a variant and the pre-trained model, and models with each other.

Needs: activations of the test data.
Gives: results/{study}/similarity/{task}/{model}/{variant}.parquet (view, layer, measure, value),
    results/{study}/cross_model_similarity/{task}/{variant}.parquet (one row per pair of models and of layers).
"""


rule similarity:
    """How much each layer changes from the pre-trained model, and anisotropy."""
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
    group:
        grouped("similarity")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("similarity"),
    params:
        **job("similarity", "measure_similarity"),
        before=before_option,
        views=views,
    shell:
        "python {params.program:q} --activations {input.activations} {params.before}"
        " --views {params.views} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule compare_models:
    """How similar models are at equal relative depth, all as the same variant."""
    input:
        collect(
            f"{RESULTS}/activations/{{{{task}}}}/{{model}}/{{{{variant}}}}",
            model=SORTED_MODELS,
        ),
    output:
        f"{RESULTS}/cross_model_similarity/{{task}}/{{variant}}.parquet",
    log:
        f"{LOGS}/compare_models/{{task}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/compare_models/{{task}}/{{variant}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("compare_models"),
    params:
        **job("compare_models", "compare_models"),
        models=SORTED_MODELS,
        views=views,
    shell:
        "python {params.program:q} --task {wildcards.task} --variant {wildcards.variant}"
        " --models {params.models} --activations {input} --views {params.views} --out {output}"
        " --record {params.record} > {log} 2>&1"
