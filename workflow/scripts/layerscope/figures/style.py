"""Used by all figures: fonts, sizes, legends, and saving with the same bytes every time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from layerscope.core.files import whole_file
from layerscope.core.lineage import mark, of_this_run
from layerscope.core.looks import MARKERS, Look
from layerscope.figures.letters import add_fallback_fonts

#: Width of one and of two columns of a paper, in inches.
COLUMN, PAGE = 3.5, 7.0

# Embedding fonts says dozens of lines that would bury what a log is read for.
logging.getLogger("fontTools").setLevel(logging.WARNING)

GREY = "#777777"
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same on every machine
    "text.parse_math": False,  # labels are the user's, and may have $ in them
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.columnspacing": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.4,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "pdf.fonttype": 42,  # TrueType, embedded
    "svg.fonttype": "path",
    "svg.hashsalt": "layerscope",
    "savefig.dpi": 300,
}


#: Reasons by model, and by analysis, for which a table has no rows.
Missing = Mapping[str, Mapping[str, str]]


@contextmanager
def styled() -> Iterator[None]:
    """The project's style on top of matplotlib's defaults, whatever the user's own settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        yield


def save(figure: Figure, out: str | Path) -> None:
    """Write `out` (.svg), and .pdf and .png beside it; the same figure gives the same bytes.

    Each carries where it comes from, so that one that left its folder can be traced.
    """
    origin = of_this_run()
    known = [origin.statement, mark(origin.lineage)] if origin else [None, None]
    dates: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, **dict(zip(("Description", "Identifier"), known, strict=True))},
        "pdf": {"CreationDate": None, **dict(zip(("Subject", "Keywords"), known, strict=True))},
        "png": dict(zip(("Description", "Identifier"), known, strict=True)) if origin else {},
    }
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # `add_fallback_fonts` says it once
        figure.draw_without_rendering()
        if add_fallback_fonts(figure):
            figure.draw_without_rendering()
            # Outlines: not every font can be embedded as TrueType.
            matplotlib.rcParams["pdf.fonttype"] = 3
        figure.set_layout_engine(None)  # it stands; with "none" each file would be drawn twice
        for ending, metadata in dates.items():
            with whole_file(Path(out).with_suffix(f".{ending}")) as partial:
                figure.savefig(partial, format=ending, metadata=metadata)


def models_of(rows: pd.DataFrame) -> list[str]:
    """Models in the order of the table."""
    return list(rows["model"].unique())


def percent_looks(percents: Sequence[int]) -> dict[int, Look]:
    """Colour and marker of each training fraction: darker means more data."""
    colours = matplotlib.colormaps["viridis_r"]
    step = 0.65 / max(len(percents) - 1, 1)
    start = 0.3 if len(percents) > 1 else 0.75
    return {
        percent: Look(
            matplotlib.colors.to_hex(colours(start + i * step)), MARKERS[i % len(MARKERS)]
        )
        for i, percent in enumerate(sorted(percents))
    }


def percents_of(rows: pd.DataFrame) -> list[int]:
    """Training fractions (percent) of fine-tuned variants, in ascending order."""
    return sorted(percent for percent in rows["percent"].unique().tolist() if percent > 0)


def empty(words: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(COLUMN, 0.6))
    figure.text(0.5, 0.5, words, ha="center")
    return figure


def missing_handles(missing: Missing, analysis: str | None = None) -> list[Line2D]:
    """Legend entries of models of which an analysis, or some that is named, is not applicable."""
    labels = [
        f"{model}: {what}not applicable"
        for model, reasons in missing.items()
        for what in ([f"{each} " for each in reasons] if analysis is None else [""])
        if analysis is None or analysis in reasons
    ]
    return [Line2D([], [], linestyle="", label=label) for label in labels]


def width_for(columns: int) -> float:
    """Width of a figure in inches: one column of a paper if the panels are readable so."""
    return COLUMN if columns <= 2 else max(PAGE, 1.2 * columns)


class Band(NamedTuple):
    """Models that are drawn side by side, or in the same panels."""

    models: list[str]
    part: Figure | SubFigure  # the whole figure if there is one band
    grid: npt.NDArray[np.object_]  # its panels, rows x columns


#: Columns of panels that fit a page, and lines that can be told apart in one panel.
COLUMNS, LINES = 5, 8


def folded(models: Sequence[str], most: int) -> list[list[str]]:
    """Models in their order, in as few groups of at most `most` as possible, of like size."""
    size = -(-len(models) // -(-len(models) // most))
    return [list(models[i : i + size]) for i in range(0, len(models), size)]


def bands(
    groups: Sequence[list[str]],
    size: tuple[float, float],
    rows: int,
    columns: int | None = None,
    **options: Any,
) -> tuple[Figure, list[Band]]:
    """A figure with a band of panels for each group of models, one below the other.

    Args:
        groups: as from `folded`.
        size: width, and height with one band, in inches.
        rows: of panels in a band.
        columns: of panels in a band; None: one per model.
        options: of `subplots`.
    """
    width, height = size
    further = len(groups) - 1  # without a legend of their own
    figure = Figure(figsize=(width, height + further * (height - 0.3)), layout="constrained")
    parts = figure.subfigures(len(groups), 1, squeeze=False)[:, 0] if further else [figure]
    found = []
    for models, part in zip(groups, parts, strict=True):
        grid = part.subplots(rows, columns or len(groups[0]), squeeze=False, **options)
        used = columns or len(models)
        for axes in grid[:, used:].flat:
            axes.remove()
        found.append(Band(models, part, grid[:, :used]))
        # Now, because matplotlib leaves limits apart that it has computed before axes are shared.
        for axis in ("x", "y"):
            if further and models is not groups[0] and options.get(f"share{axis}") is True:
                getattr(grid[0, 0], f"share{axis}")(found[0].grid[0, 0])
    return figure, found


def model_handles(
    models: Sequence[str], known: dict[str, Look], line: Literal["-", ""] = "-"
) -> list[Line2D]:
    """Legend entries of models."""
    return [
        Line2D([], [], color=known[m].colour, marker=known[m].marker, linestyle=line, label=m)
        for m in models
    ]


def legend_below(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """A legend below all panels."""
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=min(columns, len(handles))
    )


def share_y(grids: Sequence[npt.NDArray[np.object_]], measures: Sequence[str]) -> None:
    """Give all panels of the same measure one scale, with numbers at the left alone.

    Args:
        grids: of each band, rows x columns of panels.
        measures: what each row of a band shows.
    """
    first: dict[str, Axes] = {}
    for grid in grids:
        for line, measure in zip(grid, measures, strict=True):
            for column, axes in enumerate(line):
                if axes is not first.setdefault(measure, axes):
                    axes.sharey(first[measure])
                axes.tick_params(labelleft=column == 0)


def name_columns(band: Band, bottom: str) -> None:
    """Models above the columns of a band, and what their x-axes show below."""
    for axes, model in zip(band.grid[0], band.models, strict=True):
        axes.set_title(model)
    for axes in band.grid[-1]:
        axes.set_xlabel(bottom)


def name_fractions(found: Sequence[Band], titles: Sequence[str]) -> None:
    """Depth on the x-axes of all bands, a title above each column, and whose bands they are.

    The legend is for all bands; where there are several, each says which models it shows.
    """
    for band in found:
        for line in band.grid:
            for axes in line:
                axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        for axes in band.grid[-1]:
            axes.set_xlabel("Depth (layer / last layer)")
        for axes, title in zip(band.grid[0], titles, strict=True):
            axes.set_title(title)
        if len(found) > 1:
            band.part.suptitle(f"{band.models[0]} to {band.models[-1]}", fontweight="bold")


def layer_ticks(axes: Axes, first: int, last: int) -> None:
    """At most seven whole numbers from the first to the last layer."""
    step = max(1, -(-(last - first) // 6))
    axes.set_xticks(range(first, last + 1, step))
    axes.set_xlim(first - 0.4, last + 0.4)
