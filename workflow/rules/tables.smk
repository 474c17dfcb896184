"""Tables in long form, each as Parquet and CSV: what the figures draw, and nothing else.

Needs: scores, probes, attention, evaluations of pre-training.
Gives: results/{study}/tables/{scores,confusion,probes,attention,association,pretraining}.{parquet,csv}.
"""

from layerscope.files import canonical_json

TABLES = f"{RESULTS}/tables"
DESCRIBED = canonical_json(
    {
        name: {"architecture": model.architecture, "domain": model.domain}
        for name, model in STUDY.models.items()
    }
)


def all_tables():
    names = ["scores", "confusion", "probes", "attention", "association", "pretraining"]
    return collect(
        f"{TABLES}/{{name}}.{{ending}}", name=names, ending=["parquet", "csv"]
    )


def all_scores(wildcards):
    return [
        f"{RESULTS}/scores/{task}/{scored}.json"
        for task in TASKS
        for scored in [*MODELS, *BASELINES[STUDY.tasks[task].kind]]
    ]


def all_probes(wildcards):
    return [
        f"{RESULTS}/probes/{task}/{model}/{variant}/{probe}.parquet"
        for task in TASKS
        for model in MODELS
        for variant in VARIANTS
        for probe in STUDY.tasks[task].probes
    ]


rule table_scores:
    """Downstream scores of models and baselines, and confusion counts."""
    input:
        all_scores,
    output:
        scores=multiext(f"{TABLES}/scores", ".parquet", ".csv"),
        confusion=multiext(f"{TABLES}/confusion", ".parquet", ".csv"),
    log:
        f"{LOGS}/table_scores.log",
    benchmark:
        f"{TIMES}/table_scores.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        models=DESCRIBED,
        code=code_digest("tabulate_scores"),
    shell:
        "python {PROGRAMS}/tabulate_scores.py --models {params.models:q} --scores {input}"
        " --out-scores {output.scores[0]} --out-confusion {output.confusion[0]} > {log} 2>&1"


rule table_probes:
    """Probe scores by layer."""
    input:
        all_probes,
    output:
        multiext(f"{TABLES}/probes", ".parquet", ".csv"),
    log:
        f"{LOGS}/table_probes.log",
    benchmark:
        f"{TIMES}/table_probes.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("tabulate_probes"),
    shell:
        "python {PROGRAMS}/tabulate_probes.py --probes {input} --out {output[0]} > {log} 2>&1"


rule table_attention:
    """Attention measures by layer and head, with intervals over examples."""
    input:
        collect(
            f"{RESULTS}/attention/{{task}}/{{model}}/{{variant}}.parquet",
            task=TASKS,
            model=MODELS,
            variant=VARIANTS,
        ),
    output:
        multiext(f"{TABLES}/attention", ".parquet", ".csv"),
    log:
        f"{LOGS}/table_attention.log",
    benchmark:
        f"{TIMES}/table_attention.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        statistics=STATISTICS,
        code=code_digest("tabulate_attention"),
    shell:
        "python {PROGRAMS}/tabulate_attention.py --settings {params.statistics:q}"
        " --attention {input} --out {output[0]} > {log} 2>&1"


rule table_association:
    """How inner measures go with downstream scores."""
    input:
        scores=f"{TABLES}/scores.parquet",
        probes=f"{TABLES}/probes.parquet",
        attention=f"{TABLES}/attention.parquet",
    output:
        multiext(f"{TABLES}/association", ".parquet", ".csv"),
    log:
        f"{LOGS}/table_association.log",
    benchmark:
        f"{TIMES}/table_association.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        statistics=STATISTICS,
        code=code_digest("tabulate_association"),
    shell:
        "python {PROGRAMS}/tabulate_association.py --settings {params.statistics:q}"
        " --scores {input.scores} --probes {input.probes} --attention {input.attention}"
        " --out {output[0]} > {log} 2>&1"


rule table_pretraining:
    """Held-out loss and perplexity of the models that are pre-trained here."""
    input:
        collect(f"{RESULTS}/pretrained/{{model}}.json", model=MADE),
    output:
        multiext(f"{TABLES}/pretraining", ".parquet", ".csv"),
    log:
        f"{LOGS}/table_pretraining.log",
    benchmark:
        f"{TIMES}/table_pretraining.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_digest("tabulate_pretraining"),
    shell:
        "python {PROGRAMS}/tabulate_pretraining.py --evaluations {input} --out {output[0]}"
        " > {log} 2>&1"
