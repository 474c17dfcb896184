"""Which tables, figures and pages a study has.

Needs: STUDY, names and folders (common.smk).
Gives: all_tables(), all_figures() and all_pages(), for `all`; tables_there(), for pages.
"""


def all_tables():
    return collect(
        f"{TABLES}/{{name}}.{{ending}}",
        name=catalogue.table_names(ANALYSES),
        ending=["parquet", "csv"],
    )


def all_figures():
    names = [
        figure.stem.format(task=task)
        for figure in catalogue.planned(catalogue.FIGURES, ANALYSES)
        for task in (TASKS if figure.by_task else [None])
    ]
    return collect(
        f"{FIGURES}/{{name}}.{{ending}}", name=names, ending=["svg", "pdf", "png"]
    )


def all_pages():
    pages = catalogue.planned(catalogue.PAGES, ANALYSES)
    return [f"{RESULTS}/{page.file}" for page in pages]


def tables_there(names):
    """Paths by name of those of the tables that the study has."""
    there = catalogue.table_names(ANALYSES)
    return {name: f"{TABLES}/{name}.parquet" for name in names if name in there}
