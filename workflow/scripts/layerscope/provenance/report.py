"""Snakemake's report of a finished study, which carries its lineage as figures do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from layerscope.core.errors import UserError
from layerscope.core.files import whole_file
from layerscope.core.lineage import Origin, mark, of_this_run
from layerscope.provenance.planned import study_dag


def write_report(call: Mapping[str, Any], out: Path) -> None:
    """Write the report of what a study gives.

    Args:
        call: how Snakemake was called, as for `planned`, with the `targets` that the report shows.
        out: the page.

    Raises:
        UserError: Snakemake refuses, as where a result is missing.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.report.html_reporter import ReportSettings
    from snakemake.settings.types import OutputSettings

    with TemporaryDirectory(prefix="layerscope-") as folder:
        page = Path(folder) / "report.html"
        with SnakemakeApi(OutputSettings()) as api:
            try:
                _, dag = study_dag(api, call)
                dag.create_report(reporter="html", report_settings=ReportSettings(path=page))
            except WorkflowError as error:
                raise UserError(" ".join(str(error).split())) from None
        text = page.read_text(encoding="utf-8")
    with whole_file(out) as partial:
        partial.write_text(_with_origin(text, of_this_run()), encoding="utf-8")


def _with_origin(page: str, origin: Origin | None) -> str:
    """The page with where it comes from in its head, before all that it contains."""
    if origin is None:
        return page
    start, head, rest = page.partition("<head>")
    named = f'\n    <meta name="dc.identifier" content="{mark(origin.lineage)}">'
    return "".join([start, head, named, rest])
