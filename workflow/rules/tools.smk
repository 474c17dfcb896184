"""What is asked of a study as a whole, and makes no results: its cost, plan, exports and leftovers.

Needs: STUDY, the configuration as it was read; for an export, finished results.
Gives: text on the terminal; results/{study}/crate/ and pack.zip. `remove_leftovers` removes results and
    logs that an earlier configuration left.
"""


rule estimate:
    """Print jobs, hours of cores and GPUs, memory and disk of the study."""
    log:
        f"{LOGS}/estimate.log",
    conda:
        "../../envs/plot.yaml"
    params:
        call=this_call,
        rule=lambda wildcards: next(iter(own_rules("estimate"))).name,
        configuration=fixed(argument(canonical_json(STUDY.model_dump(mode="json")))),
        python=sys.executable,  # Snakemake's own, since it asks Snakemake
        program=program("estimate"),
    shell:
        "{params.python:q} {params.program:q} --call {params.call:q}"
        " --rule {params.rule} --configuration {params.configuration} 2>&1 | tee {log}"


rule check:
    """Ask the scheduler whether it would accept one job of each kind."""
    log:
        f"{LOGS}/check.log",
    retries: 0
    conda:
        "../../envs/plot.yaml"
    params:
        call=this_call,
        python=sys.executable,
        program=program("check_submissions"),
    shell:
        "{params.python:q} {params.program:q} --call {params.call:q} 2>&1 | tee {log}"


rule pack:
    """Pack results, run records and programs of the finished study for somebody who verifies it."""
    log:
        f"{LOGS}/pack.log",
    conda:
        "../../envs/plot.yaml"
    params:
        study=STUDY.study,
        targets=study_targets,
        out=placed(f"{RESULTS}/pack.zip"),
        program=program("pack_study"),
    shell:
        "python {params.program:q} --study {params.study} --targets {params.targets}"
        " --out {params.out} 2>&1 | tee {log}"


rule crate:
    """Export the finished study with all that is known of its making, as an RO-Crate."""
    log:
        f"{LOGS}/crate.log",
    conda:
        "../../envs/plot.yaml"
    params:
        study=STUDY.study,
        targets=study_targets,
        configuration=fixed(argument(canonical_json(STUDY.model_dump(mode="json")))),
        given=fixed(CONFIGURED["files"]),
        rules=lambda wildcards: canonical_json(
            {name: each.rule.docstring or "" for name, each in rules._rules.items()}
        ),
        out=placed(f"{RESULTS}/crate"),
        program=program("export_crate"),
    shell:
        "python {params.program:q} --study {params.study} --targets {params.targets}"
        " --configuration {params.configuration} --given {params.given:q} --rules {params.rules:q}"
        " --out {params.out} 2>&1 | tee {log}"


rule explain:
    """Print which jobs would run now, and why."""
    log:
        f"{LOGS}/explain.log",
    conda:
        "../../envs/plot.yaml"
    params:
        call=this_call,
        python=sys.executable,
        program=program("explain"),
        target=lambda wildcards: workflow.default_target,
        report=placed(f"{RESULTS}/{REPORT}"),
    shell:
        "{params.python:q} {params.program:q} --call {params.call:q} --target {params.target}"
        " --report {params.report} 2>&1 | tee {log}"


for _rule, _option, _about in (
    ("clean", "", "List what an earlier configuration left in the study's folder."),
    ("remove_leftovers", "--remove", "Remove what `clean` lists."),
):

    rule:
        name:
            _rule
        log:
            f"{LOGS}/{_rule}.log",
        conda:
            "../../envs/plot.yaml"
        params:
            call=this_call,
            target=lambda wildcards: own_rules("all")[0].name,
            study=STUDY.study,
            tasks=TASKS,
            models=MODELS,
            option=_option,
            python=sys.executable,
            program=program("remove_leftovers"),
        shell:
            "{params.python:q} {params.program:q} --call {params.call:q} --target {params.target}"
            " --study {params.study} --tasks {params.tasks} --models {params.models}"
            " {params.option} 2>&1 | tee {log}"

    describe(_rule, _about)


run_here("check", "clean", "crate", "estimate", "explain", "pack", "remove_leftovers")
