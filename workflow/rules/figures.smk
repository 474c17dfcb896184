"""Figures, from the tables alone: SVG for screens, PDF for print, PNG for a glance.

Each is an entry of the catalogue (layerscope.catalogue) and a module that draws it.
Needs: tables.
Gives: results/{study}/figures/*.{svg,pdf,png}.
"""

for _figure in catalogue.FIGURES:

    rule:
        name:
            _figure.rule
        input:
            **{name: f"{TABLES}/{name}.parquet" for name in _figure.tables},
        output:
            svg=report(
                f"{FIGURES}/{_figure.stem}.svg",
                caption=f"../report/{_figure.name}.rst",
                category=_figure.category,
                labels=_figure.labels,
            ),
            others=multiext(f"{FIGURES}/{_figure.stem}", ".pdf", ".png"),
        log:
            f"{LOGS}/figure_{_figure.stem}.log",
        benchmark:
            f"{TIMES}/figure_{_figure.stem}.tsv"
        group:
            grouped(_figure.rule)
        conda:
            "../../envs/plot.yaml"
        resources:
            **needed(_figure.rule),
        params:
            **job(_figure.rule, "draw", _figure.module),
            figure=_figure.name,
            task="--task {task}" if _figure.by_task else "",
            tables=named_inputs("--tables"),
        shell:
            "python {params.program:q} {params.figure} {params.task} {params.tables} --out {output.svg}"
            " --record {params.record} > {log} 2>&1"

    describe(_figure.rule, _figure.about)
