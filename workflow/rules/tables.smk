"""Tables in long form, each as Parquet and CSV: what the figures draw, and nothing else.

Tables of probes and attention are put together from parts, one a task and model, which are kept: a
change of one model makes one part again, and no job reads the files of all models. Paired tests have a part
a task, which reads the predictions of all of its models.
Needs: scores, probes, attention, similarity, interventions, evaluations of pre-training; published values, if the study
    names any.
Gives: results/{study}/parts/{probes,attention,similarity,interventions,evaluation}/{task}/{model}.parquet,
    results/{study}/parts/differences/{task}.parquet,
    results/{study}/tables/{scores,confusion,probes,attention,heads,similarity,models,entry,interventions,
    differences,evaluation,association,pretraining}.{parquet,csv},
    verdict.{parquet,csv} if there are published values.
"""

TABLES = f"{RESULTS}/tables"
PARTS = f"{RESULTS}/parts"
DESCRIBED = canonical_json(
    {
        name: {"architecture": model.architecture, "domain": model.domain}
        for name, model in STUDY.models.items()
    }
)


rule table_scores:
    """Downstream scores of models and baselines, and confusion counts."""
    input:
        all_scores,
    output:
        scores=f"{TABLES}/scores.parquet",
        scores_csv=f"{TABLES}/scores.csv",
        confusion=f"{TABLES}/confusion.parquet",
        confusion_csv=f"{TABLES}/confusion.csv",
    log:
        f"{LOGS}/table_scores.log",
    benchmark:
        f"{TIMES}/table_scores.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_scores"),
        runtime=minutes("table_scores"),
    params:
        models=DESCRIBED,
        record=record("table_scores"),
        program=program("tabulate_scores"),
        code=code_digest("tabulate_scores"),
    shell:
        "python {params.program} --models {params.models:q} --scores {input}"
        " --out-scores {output.scores} --out-confusion {output.confusion}"
        " --record {params.record:q} > {log} 2>&1"


rule part_probes:
    """Probe scores by layer of one model on one task."""
    input:
        probes_of_model,
    output:
        f"{PARTS}/probes/{{task}}/{{model}}.parquet",
    log:
        f"{LOGS}/part_probes/{{task}}/{{model}}.log",
    benchmark:
        f"{TIMES}/part_probes/{{task}}/{{model}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_probes"),
        runtime=minutes("part_probes"),
    params:
        record=record("part_probes"),
        program=program("tabulate_probes"),
        code=code_digest("tabulate_probes"),
    shell:
        "python {params.program} --probes {input} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_probes:
    """Probe scores by layer."""
    input:
        parts_of("probes"),
    output:
        table=f"{TABLES}/probes.parquet",
        csv=f"{TABLES}/probes.csv",
    log:
        f"{LOGS}/table_probes.log",
    benchmark:
        f"{TIMES}/table_probes.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_probes"),
        runtime=minutes("table_probes"),
    params:
        record=record("table_probes"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind probes-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule part_attention:
    """Attention measures by layer and head of one model on one task, with intervals over examples."""
    input:
        collect(
            f"{RESULTS}/attention/{{{{task}}}}/{{{{model}}}}/{{variant}}.parquet",
            variant=VARIANTS,
        ),
    output:
        f"{PARTS}/attention/{{task}}/{{model}}.parquet",
    log:
        f"{LOGS}/part_attention/{{task}}/{{model}}.log",
    benchmark:
        f"{TIMES}/part_attention/{{task}}/{{model}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_attention"),
        runtime=minutes("part_attention"),
    params:
        statistics=STATISTICS,
        record=record("part_attention"),
        program=program("tabulate_attention"),
        code=code_digest("tabulate_attention"),
    shell:
        "python {params.program} --settings {params.statistics:q}"
        " --attention {input} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_attention:
    """Attention measures by layer and head, with intervals over examples."""
    input:
        parts_of("attention"),
    output:
        table=f"{TABLES}/attention.parquet",
        csv=f"{TABLES}/attention.csv",
    log:
        f"{LOGS}/table_attention.log",
    benchmark:
        f"{TIMES}/table_attention.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_attention"),
        runtime=minutes("table_attention"),
    params:
        record=record("table_attention"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind attention-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule part_similarity:
    """Measures of similarity by layer of one model on one task."""
    input:
        collect(
            f"{RESULTS}/similarity/{{{{task}}}}/{{{{model}}}}/{{variant}}.parquet",
            variant=VARIANTS,
        ),
    output:
        f"{PARTS}/similarity/{{task}}/{{model}}.parquet",
    log:
        f"{LOGS}/part_similarity/{{task}}/{{model}}.log",
    benchmark:
        f"{TIMES}/part_similarity/{{task}}/{{model}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_similarity"),
        runtime=minutes("part_similarity"),
    params:
        record=record("part_similarity"),
        program=program("tabulate_similarity"),
        code=code_digest("tabulate_similarity"),
    shell:
        "python {params.program} --similarity {input} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_similarity:
    """How far layers have moved from the pre-trained model, and how they fill their space."""
    input:
        parts_of("similarity"),
    output:
        table=f"{TABLES}/similarity.parquet",
        csv=f"{TABLES}/similarity.csv",
    log:
        f"{LOGS}/table_similarity.log",
    benchmark:
        f"{TIMES}/table_similarity.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_similarity"),
        runtime=minutes("table_similarity"),
    params:
        record=record("table_similarity"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind similarity-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule part_interventions:
    """Scores under interventions of one model on one task."""
    input:
        collect(
            f"{RESULTS}/interventions/{{{{task}}}}/{{{{model}}}}/{{variant}}.parquet",
            variant=INTERVENED,
        ),
    output:
        f"{PARTS}/interventions/{{task}}/{{model}}.parquet",
    log:
        f"{LOGS}/part_interventions/{{task}}/{{model}}.log",
    benchmark:
        f"{TIMES}/part_interventions/{{task}}/{{model}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_interventions"),
        runtime=minutes("part_interventions"),
    params:
        record=record("part_interventions"),
        program=program("tabulate_interventions"),
        code=code_digest("tabulate_interventions"),
    shell:
        "python {params.program} --interventions {input} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_interventions:
    """Scores with heads masked and with the label erased."""
    input:
        parts_of("interventions"),
    output:
        table=f"{TABLES}/interventions.parquet",
        csv=f"{TABLES}/interventions.csv",
    log:
        f"{LOGS}/table_interventions.log",
    benchmark:
        f"{TIMES}/table_interventions.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_interventions"),
        runtime=minutes("table_interventions"),
    params:
        record=record("table_interventions"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind interventions-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule table_models:
    """How similar models are to each other at equal relative depth."""
    input:
        collect(
            f"{RESULTS}/models/{{task}}/{{variant}}.parquet",
            task=TASKS,
            variant=COMPARED,
        ),
    output:
        table=f"{TABLES}/models.parquet",
        csv=f"{TABLES}/models.csv",
    log:
        f"{LOGS}/table_models.log",
    benchmark:
        f"{TIMES}/table_models.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_models"),
        runtime=minutes("table_models"),
    params:
        record=record("table_models"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind models-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule table_entry:
    """At which layer each probe's score is reached."""
    input:
        probes=f"{TABLES}/probes.parquet",
    output:
        table=f"{TABLES}/entry.parquet",
        csv=f"{TABLES}/entry.csv",
    log:
        f"{LOGS}/table_entry.log",
    benchmark:
        f"{TIMES}/table_entry.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_entry"),
        runtime=minutes("table_entry"),
    params:
        record=record("table_entry"),
        program=program("tabulate_entry"),
        code=code_digest("tabulate_entry"),
    shell:
        "python {params.program} --probes {input.probes} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule table_heads:
    """How far each attention head has moved, between two seeds and another head."""
    input:
        attention=f"{TABLES}/attention.parquet",
    output:
        table=f"{TABLES}/heads.parquet",
        csv=f"{TABLES}/heads.csv",
    log:
        f"{LOGS}/table_heads.log",
    benchmark:
        f"{TIMES}/table_heads.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_heads"),
        runtime=minutes("table_heads"),
    params:
        record=record("table_heads"),
        program=program("tabulate_heads"),
        code=code_digest("tabulate_heads"),
    shell:
        "python {params.program} --attention {input.attention} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule table_association:
    """How inner measures go with downstream scores."""
    input:
        scores=f"{TABLES}/scores.parquet",
        probes=f"{TABLES}/probes.parquet",
        attention=f"{TABLES}/attention.parquet",
    output:
        table=f"{TABLES}/association.parquet",
        csv=f"{TABLES}/association.csv",
    log:
        f"{LOGS}/table_association.log",
    benchmark:
        f"{TIMES}/table_association.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_association"),
        runtime=minutes("table_association"),
    params:
        statistics=STATISTICS,
        record=record("table_association"),
        program=program("tabulate_association"),
        code=code_digest("tabulate_association"),
    shell:
        "python {params.program} --settings {params.statistics:q}"
        " --scores {input.scores} --probes {input.probes} --attention {input.attention}"
        " --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule part_differences:
    """Which models differ on the same test examples of one task, by paired tests."""
    input:
        predictions_of_largest_share,
    output:
        f"{PARTS}/differences/{{task}}.parquet",
    log:
        f"{LOGS}/part_differences/{{task}}.log",
    benchmark:
        f"{TIMES}/part_differences/{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_differences"),
        runtime=minutes("part_differences"),
    params:
        statistics=STATISTICS,
        record=record("part_differences"),
        program=program("tabulate_differences"),
        code=code_digest("tabulate_differences"),
    shell:
        "python {params.program} --settings {params.statistics:q} --predictions {input}"
        " --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_differences:
    """Which models differ on the same test examples, by paired tests."""
    input:
        collect(f"{PARTS}/differences/{{task}}.parquet", task=TASKS),
    output:
        table=f"{TABLES}/differences.parquet",
        csv=f"{TABLES}/differences.csv",
    log:
        f"{LOGS}/table_differences.log",
    benchmark:
        f"{TIMES}/table_differences.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_differences"),
        runtime=minutes("table_differences"),
    params:
        record=record("table_differences"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind differences-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule part_evaluation:
    """Calibration, F1 of each class, and of seen and unseen entities, of one model on one task."""
    input:
        unpack(entity_data),
        predictions=collect(
            f"{RESULTS}/predictions/{{{{task}}}}/{{{{model}}}}/{{variant}}.parquet",
            variant=TUNED,
        ),
    output:
        f"{PARTS}/evaluation/{{task}}/{{model}}.parquet",
    log:
        f"{LOGS}/part_evaluation/{{task}}/{{model}}.log",
    benchmark:
        f"{TIMES}/part_evaluation/{{task}}/{{model}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("part_evaluation"),
        runtime=minutes("part_evaluation"),
    params:
        statistics=STATISTICS,
        entities=lambda wildcards: " ".join(
            f"--{name} {' '.join(paths)}"
            for name, paths in entity_data(wildcards).items()
        ),
        record=record("part_evaluation"),
        program=program("evaluate"),
        code=code_digest("evaluate"),
    shell:
        "python {params.program} --settings {params.statistics:q}"
        " --predictions {input.predictions} {params.entities} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_evaluation:
    """Calibration, F1 of each class, and of seen and unseen entities."""
    input:
        parts_of("evaluation"),
    output:
        table=f"{TABLES}/evaluation.parquet",
        csv=f"{TABLES}/evaluation.csv",
    log:
        f"{LOGS}/table_evaluation.log",
    benchmark:
        f"{TIMES}/table_evaluation.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_evaluation"),
        runtime=minutes("table_evaluation"),
    params:
        record=record("table_evaluation"),
        program=program("join_tables"),
        code=code_digest("join_tables"),
    shell:
        "python {params.program} --kind evaluation-table --parts {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


SUMMARISED = tables_there(
    "scores",
    "differences",
    "evaluation",
    "probes",
    "similarity",
    "heads",
    "interventions",
    "association",
)


rule summary:
    """The study's findings in sentences, each with its interval."""
    input:
        **SUMMARISED,
    output:
        report(
            f"{RESULTS}/summary.md",
            caption="../report/summary.rst",
            category="Summary",
            labels={"figure": "Findings in sentences"},
        ),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{TIMES}/summary.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("summary"),
        runtime=minutes("summary"),
    params:
        statistics=STATISTICS,
        study=STUDY.study,
        tables=" ".join(f"--{name} {path}" for name, path in SUMMARISED.items()),
        record=record("summary"),
        program=program("summarise"),
        code=code_digest("summarise"),
    shell:
        "python {params.program} --study {params.study} --settings {params.statistics:q}"
        " {params.tables} --out {output}"
        " --record {params.record:q} > {log} 2>&1"


rule table_pretraining:
    """Held-out loss and perplexity of the models that are pre-trained here."""
    input:
        collect(f"{RESULTS}/pretrained/{{model}}.json", model=MADE),
    output:
        table=f"{TABLES}/pretraining.parquet",
        csv=f"{TABLES}/pretraining.csv",
    log:
        f"{LOGS}/table_pretraining.log",
    benchmark:
        f"{TIMES}/table_pretraining.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_pretraining"),
        runtime=minutes("table_pretraining"),
    params:
        record=record("table_pretraining"),
        program=program("tabulate_pretraining"),
        code=code_digest("tabulate_pretraining"),
    shell:
        "python {params.program} --evaluations {input} --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"


rule table_verdict:
    """Our scores beside published ones, and whether they agree."""
    input:
        references=STUDY.references or [],
        scores=f"{TABLES}/scores.parquet",
    output:
        table=f"{TABLES}/verdict.parquet",
        csv=f"{TABLES}/verdict.csv",
    log:
        f"{LOGS}/table_verdict.log",
    benchmark:
        f"{TIMES}/table_verdict.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("table_verdict"),
        runtime=minutes("table_verdict"),
    params:
        record=record("table_verdict"),
        program=program("tabulate_verdict"),
        code=code_digest("tabulate_verdict"),
    shell:
        "python {params.program} --references {input.references:q} --scores {input.scores}"
        " --out {output.table}"
        " --record {params.record:q} > {log} 2>&1"
