"""Quality of each layer's representations without labels, before and after fine-tuning.

Needs: the variant's model (pre-trained, random weights, or of the largest training fraction), and the rows that
    probes learn from.
Gives: results/{study}/representation_quality/{task}/{model}/{variant}.parquet (text, layer, measure, value).
"""


rule representation_quality:
    """Entropy, effective rank, curvature and invariance of each layer, from texts alone."""
    input:
        unpack(main_probe_rows),
        model=variant_folder,
        adapter_base=adapter_base,
    output:
        f"{RESULTS}/representation_quality/{{task}}/{{model}}/{{variant}}.parquet",
    log:
        f"{LOGS}/representation_quality/{{task}}/{{model}}/{{variant}}.log",
    benchmark:
        f"{TIMES}/representation_quality/{{task}}/{{model}}/{{variant}}.tsv"
    wildcard_constraints:
        variant=one_of(DESCRIBED),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("representation_quality", gpu=True),
    params:
        **job("representation_quality", "representation_quality"),
        kind=kind,
        architecture=architecture,
        passes=jobs.pass_settings(STUDY),
        merge_tags=merge_tags,
        weights=weights,
        adapter_base=adapter_base_option,
    shell:
        "python {params.program:q} --gpus {resources.gpu} --variant {wildcards.variant}"
        " --kind {params.kind} --architecture {params.architecture} --passes {params.passes:q}"
        " --model {input.model} {params.weights} {params.adapter_base} {params.merge_tags}"
        " --reference {input.data} --sample {input.sample} --out {output}"
        " --record {params.record} > {log} 2>&1"
