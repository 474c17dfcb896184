"""Figures, from the tables alone: SVG for screens, PDF for print, PNG for a glance.

And the explorer, a page in which a reader chooses what of the tables to see.

Needs: tables.
Gives: results/{study}/figures/*.{svg,pdf,png}, results/{study}/explorer.html.
"""

FIGURES = f"{RESULTS}/figures"


rule figure_scores:
    """How well each model does the task, by share of the training data."""
    input:
        scores=f"{TABLES}/scores.parquet",
    output:
        svg=report(
            f"{FIGURES}/scores.svg",
            caption="../report/scores.rst",
            category="Performance",
            labels={"figure": "Score by share of training data"},
        ),
        others=multiext(f"{FIGURES}/scores", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_scores.log",
    benchmark:
        f"{TIMES}/figure_scores.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_scores"),
        runtime=minutes("figure_scores"),
    params:
        record=record("figure_scores"),
        program=program("draw_scores"),
        code=code_digest("draw_scores"),
    shell:
        "python {params.program}"
        " --scores {input.scores}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_probes:
    """What each layer encodes, before and after fine-tuning, with the random control."""
    input:
        probes=f"{TABLES}/probes.parquet",
    output:
        svg=report(
            f"{FIGURES}/probes-{{task}}.svg",
            caption="../report/probes.rst",
            category="Layers",
            labels={"figure": "Probe score by layer", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/probes-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_probes-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_probes-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_probes"),
        runtime=minutes("figure_probes"),
    params:
        record=record("figure_probes"),
        program=program("draw_probes"),
        code=code_digest("draw_probes"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --probes {input.probes}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_controls:
    """What probes reach on half of the input, and on labels that mean nothing."""
    input:
        probes=f"{TABLES}/probes.parquet",
    output:
        svg=report(
            f"{FIGURES}/controls-{{task}}.svg",
            caption="../report/controls.rst",
            category="Layers",
            labels={"figure": "Controls of the probes", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/controls-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_controls-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_controls-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_controls"),
        runtime=minutes("figure_controls"),
    params:
        record=record("figure_controls"),
        program=program("draw_controls"),
        code=code_digest("draw_controls"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --probes {input.probes}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_inputs:
    """What the best layer's score depends on: pooling, features, halves of the input."""
    input:
        probes=f"{TABLES}/probes.parquet",
        scores=f"{TABLES}/scores.parquet",
    output:
        svg=report(
            f"{FIGURES}/inputs-{{task}}.svg",
            caption="../report/inputs.rst",
            category="Layers",
            labels={"figure": "What probes are given", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/inputs-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_inputs-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_inputs-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_inputs"),
        runtime=minutes("figure_inputs"),
    params:
        record=record("figure_inputs"),
        program=program("draw_inputs"),
        code=code_digest("draw_inputs"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --probes {input.probes}"
        " --scores {input.scores}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_gain:
    """How much fine-tuning adds to each layer's probe score."""
    input:
        probes=f"{TABLES}/probes.parquet",
    output:
        svg=report(
            f"{FIGURES}/gain-{{task}}.svg",
            caption="../report/gain.rst",
            category="Layers",
            labels={"figure": "Gain of fine-tuning by layer", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/gain-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_gain-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_gain-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_gain"),
        runtime=minutes("figure_gain"),
    params:
        record=record("figure_gain"),
        program=program("draw_gain"),
        code=code_digest("draw_gain"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --probes {input.probes}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_entry:
    """At which depth each probe's score is reached, by share of the training data."""
    input:
        entry=f"{TABLES}/entry.parquet",
    output:
        svg=report(
            f"{FIGURES}/entry-{{task}}.svg",
            caption="../report/entry.rst",
            category="Layers",
            labels={"figure": "Where information enters", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/entry-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_entry-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_entry-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_entry"),
        runtime=minutes("figure_entry"),
    params:
        record=record("figure_entry"),
        program=program("draw_entry"),
        code=code_digest("draw_entry"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --entry {input.entry}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_differences:
    """Which models differ on the same test examples."""
    input:
        differences=f"{TABLES}/differences.parquet",
    output:
        svg=report(
            f"{FIGURES}/differences-{{task}}.svg",
            caption="../report/differences.rst",
            category="Performance",
            labels={"figure": "Differences between models", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/differences-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_differences-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_differences-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_differences"),
        runtime=minutes("figure_differences"),
    params:
        record=record("figure_differences"),
        program=program("draw_differences"),
        code=code_digest("draw_differences"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --differences {input.differences}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_evaluation:
    """Calibration, F1 of each class, and of seen and unseen entities."""
    input:
        evaluation=f"{TABLES}/evaluation.parquet",
    output:
        svg=report(
            f"{FIGURES}/evaluation-{{task}}.svg",
            caption="../report/evaluation.rst",
            category="Performance",
            labels={"figure": "Calibration and classes", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/evaluation-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_evaluation-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_evaluation-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_evaluation"),
        runtime=minutes("figure_evaluation"),
    params:
        record=record("figure_evaluation"),
        program=program("draw_evaluation"),
        code=code_digest("draw_evaluation"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --evaluation {input.evaluation}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_similarity:
    """How far each layer has moved from the pre-trained model, and how it fills its space."""
    input:
        similarity=f"{TABLES}/similarity.parquet",
    output:
        svg=report(
            f"{FIGURES}/similarity-{{task}}.svg",
            caption="../report/similarity.rst",
            category="Layers",
            labels={"figure": "Similarity to pre-trained", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/similarity-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_similarity-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_similarity-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_similarity"),
        runtime=minutes("figure_similarity"),
    params:
        record=record("figure_similarity"),
        program=program("draw_similarity"),
        code=code_digest("draw_similarity"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --similarity {input.similarity}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_interventions:
    """What masked heads and an erased label cost in score."""
    input:
        interventions=f"{TABLES}/interventions.parquet",
    output:
        svg=report(
            f"{FIGURES}/interventions-{{task}}.svg",
            caption="../report/interventions.rst",
            category="Interventions",
            labels={"figure": "Heads masked, label erased", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/interventions-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_interventions-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_interventions-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_interventions"),
        runtime=minutes("figure_interventions"),
    params:
        record=record("figure_interventions"),
        program=program("draw_interventions"),
        code=code_digest("draw_interventions"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --interventions {input.interventions}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_models:
    """How similar models are to each other at equal relative depth, before and after."""
    input:
        models=f"{TABLES}/models.parquet",
    output:
        svg=report(
            f"{FIGURES}/models-{{task}}.svg",
            caption="../report/models.rst",
            category="Layers",
            labels={"figure": "Similarity between models", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/models-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_models-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_models-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_models"),
        runtime=minutes("figure_models"),
    params:
        record=record("figure_models"),
        program=program("draw_models"),
        code=code_digest("draw_models"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --models {input.models}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_attention:
    """How similar each head's attention is before and after fine-tuning."""
    input:
        attention=f"{TABLES}/attention.parquet",
    output:
        svg=report(
            f"{FIGURES}/attention-{{task}}.svg",
            caption="../report/attention.rst",
            category="Attention",
            labels={"figure": "Similarity before and after", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/attention-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_attention-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_attention-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_attention"),
        runtime=minutes("figure_attention"),
    params:
        record=record("figure_attention"),
        program=program("draw_attention"),
        code=code_digest("draw_attention"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --attention {input.attention}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_heads:
    """How far each attention head has moved, and what of its attention has changed."""
    input:
        heads=f"{TABLES}/heads.parquet",
    output:
        svg=report(
            f"{FIGURES}/heads-{{task}}.svg",
            caption="../report/heads.rst",
            category="Attention",
            labels={"figure": "How far heads have moved", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/heads-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_heads-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_heads-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_heads"),
        runtime=minutes("figure_heads"),
    params:
        record=record("figure_heads"),
        program=program("draw_heads"),
        code=code_digest("draw_heads"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --heads {input.heads}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_association:
    """Whether inner measures explain the downstream score."""
    input:
        association=f"{TABLES}/association.parquet",
        scores=f"{TABLES}/scores.parquet",
        probes=f"{TABLES}/probes.parquet",
        attention=f"{TABLES}/attention.parquet",
    output:
        svg=report(
            f"{FIGURES}/association-{{task}}.svg",
            caption="../report/association.rst",
            category="Association",
            labels={"figure": "Inner measures and performance", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/association-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_association-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_association-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_association"),
        runtime=minutes("figure_association"),
    params:
        record=record("figure_association"),
        program=program("draw_association"),
        code=code_digest("draw_association"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --association {input.association} --scores {input.scores} --probes {input.probes} --attention {input.attention}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_confusion:
    """Which labels are taken for which."""
    input:
        confusion=f"{TABLES}/confusion.parquet",
    output:
        svg=report(
            f"{FIGURES}/confusion-{{task}}.svg",
            caption="../report/confusion.rst",
            category="Performance",
            labels={"figure": "Confusion of labels", "task": "{task}"},
        ),
        others=multiext(f"{FIGURES}/confusion-{{task}}", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_confusion-{{task}}.log",
    benchmark:
        f"{TIMES}/figure_confusion-{{task}}.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_confusion"),
        runtime=minutes("figure_confusion"),
    params:
        record=record("figure_confusion"),
        program=program("draw_confusion"),
        code=code_digest("draw_confusion"),
    shell:
        "python {params.program} --task {wildcards.task}"
        " --confusion {input.confusion}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_pretraining:
    """What pre-training in the workflow achieved on held-out text."""
    input:
        pretraining=f"{TABLES}/pretraining.parquet",
    output:
        svg=report(
            f"{FIGURES}/pretraining.svg",
            caption="../report/pretraining.rst",
            category="Pre-training",
            labels={"figure": "Held-out perplexity"},
        ),
        others=multiext(f"{FIGURES}/pretraining", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_pretraining.log",
    benchmark:
        f"{TIMES}/figure_pretraining.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_pretraining"),
        runtime=minutes("figure_pretraining"),
    params:
        record=record("figure_pretraining"),
        program=program("draw_pretraining"),
        code=code_digest("draw_pretraining"),
    shell:
        "python {params.program}"
        " --pretraining {input.pretraining}"
        " --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


rule figure_verdict:
    """Our scores beside published ones."""
    input:
        verdict=f"{TABLES}/verdict.parquet",
    output:
        svg=report(
            f"{FIGURES}/verdict.svg",
            caption="../report/verdict.rst",
            category="Performance",
            labels={"figure": "Published values beside ours"},
        ),
        others=multiext(f"{FIGURES}/verdict", ".pdf", ".png"),
    log:
        f"{LOGS}/figure_verdict.log",
    benchmark:
        f"{TIMES}/figure_verdict.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_verdict"),
        runtime=minutes("figure_verdict"),
    params:
        record=record("figure_verdict"),
        program=program("draw_verdict"),
        code=code_digest("draw_verdict"),
    shell:
        "python {params.program} --verdict {input.verdict} --out {output.svg}"
        " --record {params.record:q} > {log} 2>&1"


EXPLORED = tables_there(
    "scores", "probes", "attention", "association", "similarity", "entry"
)


rule explorer:
    """A page in which a reader chooses what of the tables to see; it opens offline."""
    input:
        **EXPLORED,
    output:
        report(
            f"{RESULTS}/explorer.html",
            caption="../report/explorer.rst",
            category="Explorer",
            labels={"figure": "Layers, heads and scores, to choose from"},
        ),
    log:
        f"{LOGS}/explorer.log",
    benchmark:
        f"{TIMES}/explorer.tsv"
    conda:
        "../../envs/plot.yaml"
    threads: 1
    resources:
        mem_mb=memory("explorer"),
        runtime=minutes("explorer"),
    params:
        study=STUDY.study,
        tables=" ".join(f"--{name} {path}" for name, path in EXPLORED.items()),
        record=record("explorer"),
        program=program("draw_explorer"),
        code=code_digest("draw_explorer"),
    shell:
        "python {params.program} --study {params.study} {params.tables} --out {output}"
        " --record {params.record:q} > {log} 2>&1"
