"""Figures: what is drawn is what the tables hold."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic_results import MODELS, TASKS, write_study
from synthetic_tables import SETTINGS, records, rows, tabulate

from layerscope.core.looks import looks
from layerscope.core.table_files import Drawn, Sources
from layerscope.evaluation import association
from layerscope.figures import (
    attention,
    confusion,
    controls,
    curves,
    error_analysis,
    gain,
    heads,
    inputs,
    interventions,
    layers,
    pretraining,
    probes,
    scores,
)
from layerscope.figures.style import GREY, percent_looks, save

pytestmark = pytest.mark.slow

Row = dict[str, Any]
#: Settings of the table of associations.
ASSOCIATION = json.dumps({**json.loads(SETTINGS), "families": {}})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("study")
    shapes = {"minilm": (3, 2), "gpt-mini": (2, 3), "gpt-mini-hpo": (2, 3)}
    files = write_study(folder, TASKS, shapes, (10, 100), (1, 2))
    return tabulate(files, {m: MODELS[m] for m in shapes}, folder / "tables")


def test_scores_are_drawn_at_fine_tuned_fractions_alone(study: dict[str, Path]) -> None:
    table = rows(study, "scores")
    untrained = {"task": "one-nli", "model": "minilm", "architecture": "encoder",
                 "domain": "general", "variant": "pretrained", "percent": 0, "seed": None,
                 "metric": "accuracy", "value": 0.99, "low": 0.98, "high": 1.0}  # fmt: skip
    figure = scores.draw(pd.concat([table, pd.DataFrame([untrained])]), rows(study, "training"))
    panel = figure.axes[0]
    colour = looks(["minilm"])["minilm"].colour
    line = next(x for x in panel.lines if x.get_color() == colour and len(x.get_xdata()) == 2)
    expected = {
        r["percent"]: r["value"]
        for r in records(table)
        if (r["task"], r["model"], r["metric"], r["seed"])
        == ("one-nli", "minilm", "accuracy", None)
    }
    assert list(line.get_ydata()) == [expected[10], expected[100]]
    hollow = [x for x in panel.lines if x.get_markerfacecolor() == "white"]
    assert [list(x.get_ydata()) for x in hollow if x.get_color() == colour] == [[expected[10]]]
    assert max(float(np.max(x.get_ydata())) for x in panel.lines) < 0.98
    assert min(float(np.min(x.get_xdata())) for x in panel.lines if x.get_color() == colour) > 5


def test_a_single_seed_is_drawn_where_there_is_no_mean() -> None:
    row = {"model": "m", "percent": 10, "seed": 4, "value": 0.5}
    mean = {"model": "m", "percent": 100, "seed": None, "value": 0.7}
    other = {"model": "m", "percent": 100, "seed": 4, "value": 0.9}
    assert records(scores.line_of(pd.DataFrame([row, other, mean]), "m")) == [row, mean]
    assert scores.line_of(pd.DataFrame([{**row, "percent": 0}]), "m").empty


def test_probe_panels_show_before_after_and_random(study: dict[str, Path]) -> None:
    table = rows(study, "probes", "one-ner")
    figure = layers.draw(table, [*probes.panels(table), *controls.panels(table)])
    # Three models; linear and bilstm-crf entity F1, and selectivity of the linear probe.
    assert len(figure.axes) == 3 * 3
    panel = figure.axes[0]
    assert len(panel.lines) == 4
    expected = [
        r["value"]
        for r in records(table)
        if (r["model"], r["variant"], r["probe"], r["metric"])
        == ("minilm", "pretrained", "linear", "entity_f1")
        and r["layer"] is not None
    ]
    assert expected in [list(line.get_ydata()) for line in panel.lines]


def test_a_task_without_controls_has_a_figure_that_says_so(
    study: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(study, "probes", "one-nli")
    plain = table[(table["metric"] == "accuracy") & (table["view"] == "joint")]
    monkeypatch.setattr(Drawn, "table", lambda *_: plain)
    (text,) = controls.figure(Drawn({})).texts
    assert text.get_text() == "No probe of this task has a control"


def test_curves_are_means_with_ranges() -> None:
    made = [{"layer": layer, "value": layer + seed} for seed in (0, 1, 5) for layer in (1, 0)]
    found = curves.curve(pd.DataFrame(made), "layer")
    assert found.index.tolist() == [0, 1]
    assert found.to_numpy().T.tolist() == [[2, 3], [0, 1], [5, 6]]


def test_interventions_are_drawn_beside_the_model_as_it_is(study: dict[str, Path]) -> None:
    table = rows(study, "interventions", "one-nli")
    figure = interventions.draw(table)
    assert len(figure.axes) == 3 * 4
    heads, read, _, probe = figure.axes[:4]
    own = [r for r in records(table) if r["model"] == "minilm" and r["metric"] == "accuracy"]

    def mean(value: str = "value", count: int = 2, **known: object) -> float:
        found = [r[value] for r in own if all(r[name] == known[name] for name in known)]
        assert len(found) == count  # two seeds, and two draws
        return float(np.mean(found))

    for name, (_, look) in interventions.HEADS.items():
        drawn = [line for line in heads.lines if line.get_color() == look.colour]
        count = 4 if name == "heads-random" else 2
        expected = [
            mean(count=count, intervention=name, ablation=ablation, share=share)
            for ablation, share in (("zero", 10), ("zero", 25), ("zero", 50), ("mean", 25))
        ]
        points = [line.get_ydata()[0] for line in drawn if len(line.get_ydata()) == 1]
        assert points == pytest.approx(expected)
    for panel, value in ((read, "value"), (probe, "probe")):
        expected = [
            mean(value, intervention="erased", fitted="read", layer=layer) for layer in (1, 2, 3)
        ]
        assert list(panel.lines[0].get_ydata()) == pytest.approx(expected)
    assert list(read.lines[2].get_ydata()) == pytest.approx([mean(intervention="none")] * 2)


def test_erased_labels_are_drawn_alone_where_no_head_is_masked(study: dict[str, Path]) -> None:
    table = rows(study, "interventions", "one-nli")
    figure = interventions.draw(table[table["share"].isna()])
    assert len(figure.axes) == 3 * 3
    assert figure.axes[0].get_ylabel() == "minilm\nAccuracy"
    (legend,) = figure.legends
    assert "random heads" not in [text.get_text() for text in legend.get_texts()]


def test_what_is_not_applicable_to_a_model_is_said_where_it_would_stand(
    study: dict[str, Path],
) -> None:
    table = rows(study, "interventions", "one-nli")
    headless = (table["model"] == "gpt-mini") & table["share"].notna()
    unfit = (table["model"] == "gpt-mini-hpo") & (table["intervention"] != "none")
    figure = interventions.draw(table[~headless & ~unfit])
    said = [
        [text.get_text() for text in axes.texts].count("not applicable") for axes in figure.axes
    ]
    assert said == [0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]
    for draw, name in ((attention.draw, "attention"), (heads.draw, "heads")):
        drawn = draw(rows(study, name, "one-nli"), {"mamba": {"attention": "it has none"}})
        labels = [text.get_text() for text in drawn.legends[0].get_texts()]
        assert labels[-1] == "mamba: not applicable"


def test_gain_has_a_panel_for_each_fraction_and_view(study: dict[str, Path]) -> None:
    figure = gain.draw(rows(study, "probes", "one-nli"))
    assert len(figure.axes) == 2 * 4  # halves of the input are controls, drawn apart
    assert figure.axes[0].get_title() == "fine-tuned on 10 %"


def test_inputs_show_the_best_layer_of_each_view_beside_the_baselines(
    study: dict[str, Path],
) -> None:
    table, table_of_scores = rows(study, "probes", "one-nli"), rows(study, "scores", "one-nli")
    figure = inputs.draw(table, table_of_scores)
    assert len(figure.axes) == 2 * 3  # two probes, three models
    linear = figure.axes[3]  # of minilm, below that of the svm
    assert [label.get_text() for label in linear.get_yticklabels()] == [
        inputs.INPUTS[view]
        for view in ("premise", "hypothesis", "separate", "combined", "joint", "joint-last")
    ]
    marks = {
        (round(float(line.get_ydata()[0])), line.get_marker()): float(line.get_xdata()[0])
        for line in linear.lines
        if len(line.get_xdata()) == 1
    }

    def best(view: str, variant: str) -> float:
        place = ("minilm", "linear", view, variant, "accuracy")
        keys = ("model", "probe", "view", "variant", "metric")
        return max(
            r["value"]
            for r in records(table)
            if tuple(r[k] for k in keys) == place and r["layer"] is not None
        )

    assert marks[3, "d"] == best("combined", "pretrained")
    draws = [best("premise", f"random-s{seed}") for seed in (0, 5)]
    assert marks[0, "x"] == pytest.approx(sum(draws) / 2, abs=1e-9)
    largest = percent_looks([10, 100])[100].marker
    seeds = [best("joint-last", f"f100-s{seed}") for seed in (1, 2)]
    assert marks[5, largest] == pytest.approx(sum(seeds) / 2)
    levels = inputs.levels(table_of_scores, "accuracy")
    assert list(levels) == ["majority", "bag-of-words", "premise-only", "hypothesis-only"]
    assert levels["bag-of-words"] == next(
        r["value"]
        for r in records(table_of_scores)
        if (r["model"], r["variant"], r["metric"]) == ("bag-of-words", "f100", "accuracy")
    )
    drawn = {float(line.get_xdata()[0]) for line in linear.lines if line.get_color() == GREY}
    assert set(levels.values()) <= drawn


def test_other_poolings_and_features_have_no_panels_of_their_own(study: dict[str, Path]) -> None:
    table = rows(study, "probes", "one-nli")
    assert {"combined", "joint-last"} <= set(table["view"])
    shown = [view for _, view, _ in [*probes.panels(table), *controls.panels(table)]]
    assert set(shown) == {"separate", "joint", "premise", "hypothesis"}


def test_attention_figure_draws_the_largest_fraction(study: dict[str, Path]) -> None:
    table = rows(study, "attention", "one-nli")
    figure = attention.draw(table)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 2 * 3
    own = table[(table["model"] == "minilm") & (table["percent"] == 100)]
    expected = attention.grid_of(own[own["measure"] == "cosine"])
    np.testing.assert_allclose(np.asarray(images[0].get_array()), expected)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "ceiling: two seeds" in labels


def test_heads_figure_draws_the_largest_fraction(study: dict[str, Path]) -> None:
    table = rows(study, "heads", "one-nli")
    figure = heads.draw(table)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 3
    own = [r for r in records(table) if r["model"] == "gpt-mini" and r["percent"] == 100]
    drawn = np.asarray(images[1].get_array())
    assert drawn.shape == (3, 2)
    for layer in (1, 2):
        for head in range(3):
            values = [r["moved"] for r in own if (r["layer"], r["head"]) == (layer, head)]
            assert len(values) == 2
            assert drawn[head, layer - 1] == pytest.approx(np.mean(values))
    entropy = figure.axes[3 + 1]  # of gpt-mini
    line = next(x for x in entropy.lines if x.get_marker() == "s")
    expected = [
        np.mean([r["entropy"] - r["entropy_before"] for r in own if r["layer"] == layer])
        for layer in (1, 2)
    ]
    assert list(line.get_ydata()) == pytest.approx(expected)


def test_confusion_sums_seeds_and_leaves_baselines_out(study: dict[str, Path]) -> None:
    table = rows(study, "confusion", "one-nli")
    labels = confusion.labels_of(table)
    assert labels == ["entailment", "neutral", "contradiction"]
    chosen = table[(table["model"] == "minilm") & (table["percent"] == 100)]
    matrix = confusion.matrix_of(chosen, labels)
    assert matrix.sum(axis=1).tolist() == [300, 300, 300]  # 150 of each label, two seeds
    figure = confusion.draw(table)
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["minilm", "gpt-mini", "gpt-mini-hpo"]
    percent = 100 * matrix[0, 0] / 300
    assert figure.axes[0].texts[0].get_text() == f"{percent:.0f} %\n{matrix[0, 0]}"


def test_many_labels_have_room_for_their_names_and_none_for_numbers(
    study: dict[str, Path], tmp_path: Path
) -> None:
    table = rows(study, "confusion", "one-nli")
    one = table[(table["model"] == "minilm") & (table["percent"] == 100)].iloc[:1]
    names = [f"entity type {number}" for number in range(45)]
    many = pd.concat([one.assign(label=name, predicted=name) for name in names])
    figure = confusion.draw(many)
    save(figure, tmp_path / "confusion.svg")
    axes = figure.axes[0]
    assert not axes.texts
    for labels, side in ((axes.get_yticklabels(), 1), (axes.get_xticklabels(), 0)):
        assert len(labels) == 45
        places = sorted(label.get_window_extent().min[side] for label in labels)
        height = labels[0].get_fontsize() / 72 * figure.dpi
        assert min(b - a for a, b in itertools.pairwise(places)) > height


def test_the_rarest_of_many_labels_share_a_row(study: dict[str, Path]) -> None:
    table = rows(study, "confusion", "one-nli")
    one = table[(table["model"] == "minilm") & (table["percent"] == 100)].iloc[:1]
    names = [f"type {number}" for number in range(300)]
    many = [one.assign(label=a, predicted=b, count=300 - n) for n, (a, b) in enumerate(
        [*zip(names, names, strict=True), ("type 0", "type 299"), ("type 299", "type 298")]
    )]  # fmt: skip
    axes = confusion.draw(pd.concat(many)).axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [*names[:59], "(all others)"]
    drawn = axes.images[0].get_array()
    assert drawn.shape == (60, 60)
    assert drawn[59, 59] == 1
    assert drawn[0, 59] == pytest.approx(0 / 300)
    errors = rows(study, "error_analysis", "one-nli")
    first = errors[(errors["measure"] == "f1") & errors["seed"].isna()].iloc[:1]
    classes = pd.concat([first.assign(label=name, n=n) for n, name in enumerate(names)])
    assert list(error_analysis.of_frequent_labels(classes)["label"]) == names[-40:]


@pytest.mark.parametrize("label", ["cost $5-$10", r"$\frac{$"])
def test_a_dollar_in_a_label_is_a_dollar(
    label: str, study: dict[str, Path], tmp_path: Path
) -> None:
    table = rows(study, "confusion", "one-nli").replace("neutral", label)
    figure = confusion.draw(table)
    save(figure, tmp_path / "confusion.svg")
    assert label in [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert not any(text.get_parse_math() for text in figure.axes[0].get_yticklabels())


def test_pretraining_has_a_panel_a_model_or_says_there_is_none(study: dict[str, Path]) -> None:
    figure = pretraining.draw(rows(study, "pretraining"))
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == ["gpt-mini", "gpt-mini-hpo"]
    empty = pretraining.draw(rows(study, "pretraining")[:0])
    assert not empty.axes
    assert "No model" in empty.texts[0].get_text()


def test_evaluation_draws_the_means_of_the_largest_fraction(study: dict[str, Path]) -> None:
    table = rows(study, "error_analysis", "one-ner")
    figure = error_analysis.draw(table)
    reliability, ece, brier, classes, novelty = figure.axes
    lengths = [bar.get_width() for bar in brier.patches]
    models = ["minilm", "gpt-mini", "gpt-mini-hpo"]

    def value(model: str, measure: str) -> float:
        (found,) = [
            r["value"] for r in records(table)
            if (r["model"], r["measure"], r["percent"], r["seed"]) == (model, measure, 100, None)
        ]  # fmt: skip
        return float(found)

    assert lengths == [value(model, "brier") for model in models]
    assert [bar.get_width() for bar in ece.patches] == [value(model, "ece") for model in models]
    dotted = [line for line in ece.lines if len(set(line.get_xdata())) == 1]
    assert [line.get_xdata()[0] for line in dotted] == [0.02] * 3
    curve = next(line for line in reliability.lines if line.get_marker() == "o")
    assert len(curve.get_xdata()) == 11
    assert classes.get_xticklabels()[0].get_text() == "nervous"
    first = [line for line in classes.lines if len(line.get_xdata()) == 1]
    assert len(first) == 3 * 4  # of the type without F1, no point
    assert len([line for line in novelty.lines if len(line.get_xdata()) == 1]) == 3 * 4


def test_bins_of_few_rows_are_left_out_and_pairs_have_no_novelty(study: dict[str, Path]) -> None:
    table = rows(study, "error_analysis", "one-nli")
    assert len(error_analysis.draw(table).axes) == 4
    few = table.assign(n=table["n"].mask(table["bin"] == 7, 9))
    curve = next(x for x in error_analysis.draw(few).axes[0].lines if x.get_marker() == "o")
    assert len(curve.get_xdata()) == 10


def test_what_is_claimed_is_filled_and_too_few_models_are_said(study: dict[str, Path]) -> None:
    from layerscope.figures.association import draw as draw_association

    table = rows(study, "association", "one-nli").query("metric == 'accuracy'")
    points = rows(study, "association-points", "one-nli").query("metric == 'accuracy'")
    models = list(points["model"].unique())

    def drawn(table: pd.DataFrame) -> tuple[str, list[str], list[str]]:
        figure = draw_association(points, table, models, "accuracy", 0.95)
        forest = figure.axes[-1]
        faces = [line.get_markerfacecolor() for line in forest.lines if line.get_marker() == "o"]
        assert figure.get_suptitle()
        return figure.get_suptitle(), faces, [text.get_text() for text in forest.texts]

    # Without a table of attention, what is left is associated all the same.
    sources = Sources({name: [str(study[name])] for name in ("scores", "probes")}, ASSOCIATION)
    (block,) = association.tabulate(sources)["association"].blocks
    left = {row["inner measure"] for row in block if row["task"] == "one-nli"}
    weights = {"change of weights"}
    assert left | weights == {n for n in table["inner measure"] if "attention" not in n} | weights

    title, faces, gains = drawn(table)
    assert title.startswith("With 3 independent models, nothing can be concluded")
    assert set(faces) == {"white"}
    assert gains == []
    within = table["statistic"] == "spearman within fractions"
    measures = table.index[within & ~table["placebo"]]
    table.loc[within, ["models", "low", "high", "critical"]] = [12, -0.9, 0.9, 0.6]
    table.loc[measures, "p_corrected"] = 0.2
    table.loc[table["statistic"] == "held-out R2, gain", "value"] = -0.001
    assert drawn(table)[0].startswith(f"None of {len(measures)} inner measures are significantly")
    table.loc[measures[:2], "p_corrected"] = 0.05
    title, faces, gains = drawn(table)
    assert title.startswith(f"2 of {len(measures)} inner measures are significantly associated")
    assert faces[:3] == ["black", "black", "white"]
    assert set(gains) == {"ΔR²", "+0.00"}
