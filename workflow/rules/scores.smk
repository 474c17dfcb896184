"""Baselines and scores.

Needs: prepared data and samples; predictions.
Gives: results/{study}/predictions/{task}/{baseline}/f{percent}-s{seed}.parquet,
    results/{study}/scores/{task}/{model or baseline}.json.
"""

BASELINE_NAMES = sorted(
    {name for names in BASELINES_OF_KIND.values() for name in names}
)


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
    wildcard_constraints:
        baseline=one_of(BASELINE_NAMES),
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("baseline"),
        runtime=minutes("baseline"),
    params:
        kind=kind,
        record=record("baseline"),
        program=program("baseline"),
        code=code_digest("baseline"),
    shell:
        "python {params.program} --task {wildcards.task} --kind {params.kind} --train {input.train} --sample {input.sample}"
        " --test {input.test} --percent {wildcards.percent} --seed {wildcards.seed}"
        " --baseline {wildcards.baseline}={output}"
        " --record {params.record:q} > {log} 2>&1"


rule score:
    """Score predictions, with bootstrap intervals over examples and seeds."""
    input:
        scored,
    output:
        f"{RESULTS}/scores/{{task}}/{{scored}}.json",
    log:
        f"{LOGS}/score/{{task}}/{{scored}}.log",
    benchmark:
        f"{TIMES}/score/{{task}}/{{scored}}.tsv"
    wildcard_constraints:
        scored=one_of(MODELS + BASELINE_NAMES),
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        statistics=STATISTICS,
        record=record("score"),
        program=program("score"),
        code=code_digest("score"),
    shell:
        "python {params.program} --settings {params.statistics:q} --predictions {input}"
        " --out {output}"
        " --record {params.record:q} > {log} 2>&1"
