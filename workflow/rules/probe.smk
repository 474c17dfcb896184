"""Probes of every layer of every variant.

Needs: activations.
Gives: results/{study}/probes/{task}/{model}/{variant}/{probe}.parquet (rows, view, layer, metric, value), and beside it
    {probe}.predictions.parquet: what the probes of all layers answered to the test rows.
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
        "../../envs/cpu.yaml"
    resources:
        **needed("probe"),
    params:
        **job("probe", "probe"),
        kind=kind,
        views=views,
        splits=probe_rows,
        settings=lambda wildcards: jobs.probe_settings(STUDY, wildcards.probe),
        merge_tags=merge_tags,
    shell:
        "python {params.program:q} --kind {params.kind} --probe-settings {params.settings:q}"
        " --activations {input} --views {params.views} --probe-rows {params.splits}"
        " {params.merge_tags} --out {output.rows} --out-predictions {output.predictions}"
        " --record {params.record} > {log} 2>&1"
