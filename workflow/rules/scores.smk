"""Baselines and scores.

Needs: prepared data and samples; predictions.
Gives: results/{study}/predictions/{task}/{baseline}/f{percent}-s{seed}.parquet,
    results/{study}/scores/{task}/{system}.json (a model or a baseline).
"""


rule baseline:
    """What needs no language model: the most frequent label, and bags of words."""
    input:
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
        sample=f"{RESULTS}/samples/{{task}}/f{{percent}}-s{{seed}}.parquet",
    output:
        f"{RESULTS}/predictions/{{task}}/{{baseline}}/f{{percent}}-s{{seed}}.parquet",
    log:
        f"{LOGS}/baseline/{{task}}/{{baseline}}/f{{percent}}-s{{seed}}.log",
    benchmark:
        f"{TIMES}/baseline/{{task}}/{{baseline}}/f{{percent}}-s{{seed}}.tsv"
    group:
        grouped("baseline")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("baseline"),
    params:
        **job("baseline", "baseline"),
        kind=kind,
    shell:
        "python {params.program:q} --task {wildcards.task} --kind {params.kind} --train {input.train} --sample {input.sample}"
        " --test {input.test} --percent {wildcards.percent} --seed {wildcards.seed}"
        " --baseline {wildcards.baseline}={output}"
        " --record {params.record} > {log} 2>&1"


rule score:
    """Score predictions, with bootstrap intervals over examples and seeds."""
    input:
        predictions_of_system,
    output:
        f"{RESULTS}/scores/{{task}}/{{system}}.json",
    log:
        f"{LOGS}/score/{{task}}/{{system}}.log",
    benchmark:
        f"{TIMES}/score/{{task}}/{{system}}.tsv"
    group:
        grouped("score")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("score"),
    params:
        **job("score", "score"),
        statistics=STATISTICS,
    shell:
        "python {params.program:q} --settings {params.statistics:q} --predictions {input}"
        " --out {output}"
        " --record {params.record} > {log} 2>&1"
