"""What a study gives: the files that `rule all` asks for, as its configuration has them."""

from __future__ import annotations

from layerscope import catalogue
from layerscope.config.jobs import analyses
from layerscope.config.schema import Study

CONFIGURATION = "config.json"
#: What each column of the tables holds.
DICTIONARY = "tables/README.md"
#: Made only when it is asked for.
REPORT = "report.html"


def targets(study: Study) -> dict[str, list[str]]:
    """Paths below the study's results by what they are: figures, tables, data, pages, settings.

    All other results are on the way to these.
    """
    chosen = analyses(study)
    figures = [
        figure.stem.format(task=task)
        for figure in catalogue.planned(catalogue.FIGURES, chosen)
        for task in (study.tasks if figure.by_task else [None])
    ]
    tables = catalogue.table_names(chosen)
    return {
        "figures": [f"figures/{f}.{ending}" for f in figures for ending in ("svg", "pdf", "png")],
        "tables": [f"tables/{t}.{ending}" for t in tables for ending in ("parquet", "csv")],
        "data": [f"data/{task}/report.json" for task in study.tasks],
        "pages": [
            page.file.format(task=task)
            for page in catalogue.planned(catalogue.PAGES, chosen)
            for task in (study.tasks if page.by_task else [None])
        ],
        "configuration": [CONFIGURATION, DICTIONARY],
    }
