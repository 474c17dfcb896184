"""Scores with heads masked and with the label erased, and what a fresh probe finds after it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from layerscope.core.looks import METRICS, Look
from layerscope.core.measures import task_metrics
from layerscope.core.table_files import Drawn
from layerscope.figures.curves import curve, draw_curve
from layerscope.figures.style import GREY, PAGE, layer_ticks, legend_below, models_of, styled

#: Label and look; the controls are grey.
HEADS = {
    "heads-most": ("heads changed most", Look("#D55E00", "o")),
    "heads-least": ("heads changed least", Look("#0072B2", "s")),
    "heads-random": ("random heads", Look(GREY, "^")),
}
ERASED = {
    "erased": ("label erased", Look("#009E73", "D")),
    "erased-control": ("control edit of equal size", Look(GREY, "v")),
}
PLAIN = ("as fine-tuned", Look("black", ""))
CHANCE = Look(GREY, "")
ABLATIONS = ("zero", "mean")
FITTED = {"read": "erased at the token read", "mean": "erased at all tokens"}


def draw_heads(axes: Axes, rows: pd.DataFrame) -> list[str]:
    """Mean score under each set of masked heads, with the range over seeds and draws.

    Returns:
        The groups along the axis: a fraction of heads, and what stands in for them.
    """
    masked = rows.dropna(subset="share")
    groups = [
        (ablation, share)
        for ablation in ABLATIONS
        for share in sorted(masked.loc[masked["ablation"] == ablation, "share"].unique())
    ]
    for place, (ablation, share) in enumerate(groups):
        own = masked[(masked["ablation"] == ablation) & (masked["share"] == share)]
        for at, (name, (_, look)) in enumerate(HEADS.items()):
            values = own.loc[own["intervention"] == name, "value"]
            x = place + 0.22 * (at - 1)
            axes.plot([x, x], [values.min(), values.max()], color=look.colour, linewidth=1.4)
            axes.plot([x], [values.mean()], color=look.colour, marker=look.marker, linestyle="")
    axes.set_xticks(range(len(groups)))
    axes.set_xlim(-0.5, max(len(groups), 1) - 0.5)
    return [f"{share:.0f} %\n{ablation}" for ablation, share in groups]


def _not_applicable(axes: Axes) -> None:
    axes.text(0.5, 0.2, "not applicable", ha="center", transform=axes.transAxes, color=GREY)
    axes.set_xticks([])


def draw_plain(axes: Axes, values: pd.Series) -> None:
    """The score of the model as it is: mean and range over seeds."""
    axes.axhspan(values.min(), values.max(), color=PLAIN[1].colour, alpha=0.1, linewidth=0)
    axes.axhline(values.mean(), color=PLAIN[1].colour, linewidth=0.8)


def draw_erased(axes: Axes, rows: pd.DataFrame, value: str) -> None:
    """A column of erased labels and of their controls by layer."""
    for name, (_, look) in ERASED.items():
        draw_curve(axes, curve(rows[rows["intervention"] == name], "layer", value), look)
    layer_ticks(axes, 1, int(rows["layer"].max()))


def draw_fresh_probe(axes: Axes, read: pd.DataFrame) -> None:
    """What a fresh probe of the token read finds before and after, and by chance."""
    draw_erased(axes, read, "probe")
    draw_curve(axes, curve(read, "layer", "probe_before"), PLAIN[1])
    chance = curve(read, "layer", "probe_chance")
    axes.plot(chance.index, chance["mean"], color=CHANCE.colour, linestyle=":")


@styled()
def draw(rows: pd.DataFrame) -> Figure:
    """Draw a row of four panels a model, in the task's primary metric; three without masked heads.

    Args:
        rows: one task's rows of the table of interventions.
    """
    models = models_of(rows)
    metric, _ = task_metrics(set(rows["metric"]))
    rows = rows[rows["metric"] == metric]
    with_heads = models_of(rows[rows["share"].notna()])
    masked = bool(with_heads)
    figure = Figure(figsize=(PAGE, 0.95 + 1.2 * len(models)), layout="constrained")
    grid = figure.subplots(len(models), 4 if masked else 3, sharey=True, squeeze=False)
    for line, model in zip(grid, models, strict=True):
        own = rows[rows["model"] == model]
        plain = own.loc[own["intervention"] == "none", "value"]
        if masked:
            groups = draw_heads(line[0], own)
            line[0].set_xticklabels(groups if model == with_heads[-1] else [])
            if not groups:
                _not_applicable(line[0])
            line[0].set_title(model, loc="left", fontweight="bold")
        if own["fitted"].isna().all():
            for axes in line[-3:]:
                _not_applicable(axes)
        else:
            for axes, fitted in zip(line[-3:-1], FITTED, strict=True):
                draw_erased(axes, own[own["fitted"] == fitted], "value")
            draw_fresh_probe(line[-1], own[own["fitted"] == "read"])
        for axes in line[:-1]:
            draw_plain(axes, plain)
        line[0].set_ylabel(METRICS[metric] if masked else f"{model}\n{METRICS[metric]}")
    for axes, title in zip(
        grid[0, -3:], [*FITTED.values(), "fresh probe of the token read"], strict=True
    ):
        axes.set_title(title, loc="left")
    top = grid[0, 0].get_ylim()[1]
    grid[0, 0].set_ylim(-0.04 * top, top)  # from 0, with room for the markers there
    for axes in grid[-1]:
        axes.set_xlabel("Layer after which erased")
    if masked:
        grid[-1, 0].set_xlabel("Heads of each layer masked, by")
    handles = [
        *(
            Line2D([], [], color=look.colour, marker=look.marker, label=label)
            for label, look in (*(HEADS.values() if masked else ()), *ERASED.values())
        ),
        Line2D([], [], color=PLAIN[1].colour, label="as fine-tuned"),
        Line2D([], [], color=CHANCE.colour, linestyle=":", label="probe: commonest label"),
    ]
    legend_below(figure, handles, 4)
    return figure


def figure(tables: Drawn) -> Figure:
    """The figure, from the table of interventions."""
    return draw(tables.table("interventions"))
