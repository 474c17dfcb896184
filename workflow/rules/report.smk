"""The report and the audit's page of a finished study, which are made when they are asked for.

Needs: all that the study gives; captions (workflow/report).
Gives: results/{study}/report.html, results/{study}/audit.html.
"""

from glob import glob

from layerscope.config.targets import REPORT


rule report_page:
    """Put every figure with its caption, the summary and the explorer into one page."""
    input:
        **all_targets(),
        captions=[
            local(os.path.relpath(path))
            for path in sorted(glob(f"{CHECKOUT}/workflow/report/*.rst"))
        ],
    output:
        f"{RESULTS}/{REPORT}",
    log:
        f"{LOGS}/report_page.log",
    conda:
        "../../envs/plot.yaml"
    resources:
        **needed("report_page"),
    params:
        **job("report_page", "write_report"),
        call=lambda wildcards: Aside(this_call(wildcards)),
        python=Path(sys.executable),  # Snakemake's own, since it asks Snakemake
        target=lambda wildcards: own_rules("all")[0].name,
    shell:
        "{params.python:q} {params.program:q} --call {params.call:q} --target {params.target}"
        " --out {output} --record {params.record} > {log} 2>&1"


rule report:
    """Make the report; audit the study and print the verdict; write the audit's page."""
    input:
        f"{RESULTS}/{REPORT}",
    log:
        f"{LOGS}/report.log",
    conda:
        "../../envs/plot.yaml"
    params:
        results=subpath(input[0], parent=True),
        program=program("audit"),
    shell:
        # What does not verify is a verdict, and no failure of the job that gives it.
        'page={params.results:q}/audit.html; rm -f "$page";'
        ' python {params.program:q} {params.results:q} --html "$page" 2>&1 | tee {log}'
        ' || test -e "$page"'


run_here("report_page", "report")
