"""Pages for readers, from the tables that the study has: the summary and the explorer.

Needs: tables.
Gives: results/{study}/summary.md, results/{study}/explorer.html.
"""

SUMMARISED = tables_there(catalogue.SUMMARY.tables)
#: What readers must know of a model; follows its name.
NOTES = canonical_json(
    {name: model.note for name, model in STUDY.models.items() if model.note}
)
EXPLORED = tables_there(catalogue.EXPLORER.tables)


rule summary:
    """The study's findings in sentences, each with its interval."""
    input:
        **SUMMARISED,
    output:
        report(
            f"{RESULTS}/{catalogue.SUMMARY.file}",
            caption="../report/summary.rst",
            category=catalogue.SUMMARY.category,
            labels={"figure": catalogue.SUMMARY.title},
        ),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{TIMES}/summary.tsv"
    group:
        grouped("summary")
    conda:
        "../../envs/cpu.yaml"
    resources:
        **needed("summary"),
    params:
        **job("summary", "summarise"),
        statistics=STATISTICS,
        notes=fixed(NOTES),
        study=STUDY.study,
        tables=named_inputs("--tables"),
    shell:
        "python {params.program:q} --study {params.study} --settings {params.statistics:q}"
        " --notes {params.notes:q} {params.tables} --out {output}"
        " --record {params.record} > {log} 2>&1"


rule explorer:
    """A page in which a reader chooses what of the tables to see; it opens offline."""
    input:
        **EXPLORED,
    output:
        report(
            f"{RESULTS}/{catalogue.EXPLORER.file}",
            caption="../report/explorer.rst",
            category=catalogue.EXPLORER.category,
            labels={"figure": catalogue.EXPLORER.title},
        ),
    log:
        f"{LOGS}/explorer.log",
    benchmark:
        f"{TIMES}/explorer.tsv"
    group:
        grouped("explorer")
    conda:
        "../../envs/plot.yaml"
    resources:
        **needed("explorer"),
    params:
        **job("explorer", "draw_explorer"),
        study=STUDY.study,
        tables=named_inputs("--tables"),
    shell:
        "python {params.program:q} --study {params.study} {params.tables} --out {output}"
        " --record {params.record} > {log} 2>&1"
