"""Everything that needs a forward pass of a variant: activations, attention, predictions.

One job loads a model once for all three. All rules here are one, for variants with predictions and
without, and for those whose activations stay (`activations.keep`) or go once every probe has read them (`…_temp`).
Needs: the variant's model, prepared data, the samples that probes learn from.
Gives: results/{study}/activations/{task}/{model}/{variant}/{view}/{split}.parquet (`test`, and what probes
    learn from),
    results/{study}/attention/{task}/{model}/{variant}.parquet,
    results/{study}/predictions/{task}/{model}/{variant}.parquet (fine-tuned variants).
"""

EXTRACTED = "{task}/{model}/{variant}"
#: Outputs of a study that compares attention.
ATTENTION = (
    {"attention": f"{RESULTS}/attention/{EXTRACTED}.parquet"} if STUDY.attention else {}
)


rule extract_base:
    """Activations, attention and predictions of a variant, from one pass over the data."""
    input:
        unpack(extracted_from),
    output:
        **ATTENTION,
        activations=directory(f"{RESULTS}/activations/{EXTRACTED}"),
    log:
        f"{LOGS}/extract/{EXTRACTED}.log",
    benchmark:
        f"{TIMES}/extract/{EXTRACTED}.tsv"
    wildcard_constraints:
        variant=one_of(v for v in BASES if v in KEPT),
    conda:
        "../../envs/gpu.yaml"
    resources:
        **needed("extract_base", gpu=True),
    params:
        **job("extract_base", "extract"),
        kind=kind,
        architecture=architecture,
        views=views,
        splits=probe_rows,
        test_sample=test_sample_option,
        settings=ACTIVATIONS,
        attention=jobs.attention_settings(STUDY),
        attention_files=attention_files,
        predictions=prediction_options,
        prediction_files=prediction_files,
        weights=weights,
        adapter_base=adapter_base_option,
    shell:
        "python {params.program:q} --gpus {resources.gpu} --task {wildcards.task} --name {wildcards.model}"
        " --variant {wildcards.variant} --kind {params.kind} --architecture {params.architecture}"
        " --settings {params.settings:q} --attention-settings {params.attention:q}"
        " --probe-rows {params.splits} --data {input.data} --samples {input.samples}"
        " --test {input.test} {params.test_sample}"
        " --views {params.views} --model {input.model} {params.weights} {params.adapter_base}"
        " --out-activations {output.activations}"
        " {params.attention_files} {params.prediction_files} {params.predictions}"
        " --record {params.record} > {log} 2>&1"


use rule extract_base as extract_base_temp with:
    output:
        **ATTENTION,
        activations=temp(directory(f"{RESULTS}/activations/{EXTRACTED}")),
    wildcard_constraints:
        variant=one_of(v for v in BASES if v in TRANSIENT),


use rule extract_base as extract_finetuned with:
    output:
        **ATTENTION,
        activations=directory(f"{RESULTS}/activations/{EXTRACTED}"),
        predictions=f"{RESULTS}/predictions/{EXTRACTED}.parquet",
    wildcard_constraints:
        variant=one_of(v for v in FINETUNED if v in KEPT),
    params:
        record=record("extract_finetuned"),


use rule extract_finetuned as extract_finetuned_temp with:
    output:
        **ATTENTION,
        activations=temp(directory(f"{RESULTS}/activations/{EXTRACTED}")),
        predictions=f"{RESULTS}/predictions/{EXTRACTED}.parquet",
    wildcard_constraints:
        variant=one_of(v for v in FINETUNED if v in TRANSIENT),
