"""Probes of every layer of every variant, and what predictors can use of it.

Needs: activations.
Gives: results/{study}/probes/{task}/{model}/{variant}/{probe}.parquet (rows, view, layer, metric, value), and beside it
    {probe}.predictions.parquet: what the probes of all layers answered to the test rows;
    results/{study}/usable_information/{task}/{model}/{variant}.parquet (view, family, layer, labels, draw, value), and
    beside it {variant}.pointwise.parquet: the bits of each test row.
"""


rule probe:
    """Train one kind of probe on every layer and view, and test it."""
    input:
        f"{RESULTS}/activations/{{task}}/{{model}}/{{variant}}",
    output:
        rows=f"{RESULTS}/probes/{{task}}/{{model}}/{{variant}}/{{probe}}.parquet",
        predictions=f"{RESULTS}/probes/{{task}}/{{model}}/{{variant}}/{{probe}}.predictions.parquet",
    log:
        f"{LOGS}/probe/{{task}}/{{model}}/{{variant}}/{{probe}}.log",
    benchmark:
        f"{TIMES}/probe/{{task}}/{{model}}/{{variant}}/{{probe}}.tsv"
    priority: 10  # before further activations, which may wait on disk for their probes
    group:
        grouped("probe")
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("probe", gpu=True),
    params:
        **job("probe", "probe"),
        kind=kind,
        views=views,
        splits=probe_rows,
        settings=lambda wildcards: jobs.probe_settings(STUDY, wildcards.probe),
        merge_tags=merge_tags,
    shell:
        "python {params.program:q} --gpus {resources.gpu} --kind {params.kind} --probe-settings {params.settings:q}"
        " --activations {input} --views {params.views} --probe-rows {params.splits}"
        " {params.merge_tags} --out {output.rows} --out-predictions {output.predictions}"
        " --record {params.record} > {log} 2>&1"


rule usable_information:
    """How many bits about the label linear probes and perceptrons can use of every layer and view."""
    input:
        f"{RESULTS}/activations/{{task}}/{{model}}/{{variant}}",
    output:
        rows=f"{RESULTS}/usable_information/{{task}}/{{model}}/{{variant}}.parquet",
        pointwise=f"{RESULTS}/usable_information/{{task}}/{{model}}/{{variant}}.pointwise.parquet",
    log:
        f"{LOGS}/usable_information/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/usable_information/{{task}}/{{model}}/{{variant}}.tsv"
    priority: 10  # before further activations, which may wait on disk for it
    group:
        grouped("usable_information")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("usable_information"),
    params:
        **job("usable_information", "usable_information"),
        views=views,
        split=lambda wildcards: probe_rows(wildcards)[0],
        merge_tags=merge_tags,
    shell:
        "python {params.program:q} --activations {input} --views {params.views}"
        " --probe-rows {params.split} {params.merge_tags}"
        " --out {output.rows} --out-pointwise {output.pointwise}"
        " --record {params.record} > {log} 2>&1"
