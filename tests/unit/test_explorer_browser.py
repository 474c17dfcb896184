"""The explorer in a browser: what is chosen is shown, with the tables' numbers and no error."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from synthetic_tables import SHAPES, run_program

from layerscope.core.formats import read_table
from layerscope.core.table_files import read_frame

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason=f"none of {', '.join(BROWSERS)}"),
]

NAMES = (
    "scores",
    "probes",
    "attention",
    "association",
    "association-points",
    "similarity",
    "layer_localization",
)
VOID = {"meta", "input", "br", "link", "img", "hr"}
Row = dict[str, Any]


class Seen(HTMLParser):
    """Elements of a page as it stands after its script ran."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.marks: dict[str, dict[str, str]] = {}  # by panel: value of each mark by its name
        self.texts: dict[str, str] = {}  # by id
        self.tags: set[str] = set()
        self.links: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.add(tag)
        if tag == "a":
            self.links.add(known["href"])
        if "data-r" in known:
            holder = next(a["id"] for _, a in reversed(self.open) if a.get("id"))
            here = self.marks.setdefault(str(holder), {})
            assert known["aria-label"] not in here  # each can be told from the others
            here[str(known["aria-label"])] = str(known.get("data-value"))
        if tag not in VOID:
            self.open.append((tag, known))

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, known in self.open:
            if known.get("id"):
                name = str(known["id"])
                self.texts[name] = self.texts.get(name, "") + data


class Shown(NamedTuple):
    seen: Seen
    console: list[str]


def browse(page: Path, profile: Path, fragment: str = "") -> Shown:
    """Open a page in a browser of its own, let its script run, and see what is there."""
    assert BROWSER is not None
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=3000",
        "--window-size=1200,1000", "--enable-logging=stderr", "--dump-dom",
        page.as_uri() + fragment,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<h1>" in done.stdout, done.stderr
    return Shown(Seen(done.stdout), re.findall(r":CONSOLE[:(].*", done.stderr))


@pytest.fixture(scope="module")
def tables(made_tables: dict[str, Path]) -> dict[str, Path]:
    return made_tables


@pytest.fixture(scope="module")
def page(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "explorer.html"
    options = [f"{name}={tables[name]}" for name in NAMES]
    run_program("draw_explorer", "--study", "one", "--tables", *options, "--out", out)
    return out


@pytest.fixture
def shown(page: Path, tmp_path: Path) -> Callable[..., Shown]:
    def show(**state: Any) -> Shown:
        return browse(page, tmp_path / "profile", "#" + urlencode(state, doseq=True))

    return show


def then(page: Path, folder: Path, script: str) -> Shown:
    """What is there after a script of the test ran in a copy of the page."""
    copy = folder / "explorer.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(
        text.replace("</body>", f"<script>{{{script}}}</script></body>"), encoding="utf-8"
    )
    return browse(copy, folder / "profile")


def values(tables: dict[str, Path], name: str, **wanted: Any) -> list[Row]:
    found = [
        row
        for row in read_table(tables[name], f"{name}-table").to_pylist()
        if all(row[key] == value for key, value in wanted.items())
    ]
    assert found
    return found


def close(found: str, expected: float) -> bool:
    return math.isclose(float(found), expected, rel_tol=1e-4)


def test_a_state_shows_the_numbers_of_the_tables(
    tables: dict[str, Path], shown: Callable[..., Shown]
) -> None:
    there, console = shown(
        task="one-ner", fraction=10, seed=2, score="token_macro_f1", attention="entropy",
        curve="bilstm-crf|word|entity_f1", inner="attention JSD", model="minilm",
    )  # fmt: skip
    assert console == []
    where = {"task": "one-ner", "model": "minilm"}
    heads = there.marks["heads-charts"]
    assert len(heads) == 3 * 3 * 2  # before, after and change; layers; heads
    for row in values(tables, "attention", **where, measure="entropy", variant="f10-s2"):
        name = f"minilm, 10 %, seed 2, layer {row['layer']}, head {row['head']}"
        assert close(heads[name], row["value"])
        before = heads[f"minilm, before, layer {row['layer']}, head {row['head']}"]
        change = heads[f"minilm, change, layer {row['layer']}, head {row['head']}"]
        assert float(change) == pytest.approx(row["value"] - float(before), abs=2e-4)
    curve = there.marks["layer-chart"]
    assert len(curve) == 2 * 4  # before and after; embeddings and layers
    probed = {"probe": "bilstm-crf", "metric": "entity_f1"}
    layers = values(tables, "probes", **where, **probed, variant="f10-s2")
    for row in layers[:-1]:  # the last one is the best
        assert close(
            curve[f"minilm, after (10 %, seed 2), layer {row['layer']} of 3"], row["value"]
        )
    scored = values(tables, "scores", task="one-ner", metric="token_macro_f1", seed=2)
    assert {row["model"] for row in scored} == {*SHAPES, "majority", "bag-of-words"}
    by_fraction = there.marks["fraction-chart"]
    for row in scored:
        name = f"{row['model']}, {row['percent']} % of the data, seed 2"
        assert (name in by_fraction) == (row["model"] != "gpt-mini")  # a model that is not chosen
        assert name not in by_fraction or close(by_fraction[name], row["value"])
    points = there.marks["points-chart"]
    assert points.keys() == {
        f"minilm, {p} % of the data, seed {s}" for p in (10, 100) for s in (1, 2)
    }
    for row in values(tables, "scores", **where, metric="token_macro_f1", percent=10, seed=2):
        assert close(points["minilm, 10 % of the data, seed 2"], row["value"])
    (rho,) = values(
        tables, "association", task="one-ner", metric="token_macro_f1",
        statistic="spearman over all points",
        **{"inner measure": "attention JSD"},
    )  # fmt: skip
    assert f"{rho['value']:.3f}".replace("-", "\N{MINUS SIGN}") in there.texts["statistics-table"]
    located = {
        row["measure"]: row["value"]
        for row in values(tables, "layer_localization", **where, **probed, variant="f10-s2")
    }
    cells = there.texts["localization-table"]
    assert f"→ {located['best']:.3f}" in cells
    assert f"→ {round(located['reaches'], 1):g}" in cells
    assert "With 2 independent models, nothing can be concluded" in there.texts["association-note"]


def test_the_mean_of_seeds_is_the_default_and_another_state_shows_other_numbers(
    tables: dict[str, Path], shown: Callable[..., Shown]
) -> None:
    there, console = shown(attention="entropy", fraction="none", task="no such task")
    assert console == []
    heads = there.marks["heads-charts"]
    assert len(heads) == 3 * (3 * 2 + 2 * 3)  # of both models
    chosen = {"task": "one-nli", "model": "gpt-mini", "layer": 2, "head": 1, "measure": "entropy"}
    seeds = values(tables, "attention", **chosen, percent=100)
    mean = sum(row["value"] for row in seeds) / 2
    assert len(seeds) == 2
    assert close(heads["gpt-mini, 100 %, mean of 2 seeds, layer 2, head 1"], mean)
    (scored,) = values(tables, "scores", task="one-nli", model="minilm", metric="accuracy",
                       percent=10, seed=None)  # fmt: skip
    name = "minilm, 10 % of the data, mean of 2 seeds"
    assert close(there.marks["fraction-chart"][name], scored["value"])
    assert "one-nli: 2 models; after fine-tuning on 100 %" in there.texts["readout"]


def test_a_measure_that_compares_has_one_map_and_lines_can_be_left_out(
    shown: Callable[..., Shown],
) -> None:
    there, console = shown(attention="cosine", curve="|joint|cka", line=["after", "random"], seed=1)
    assert console == []
    assert len(there.marks["heads-charts"]) == 3 * 2 + 2 * 3
    curve = there.marks["layer-chart"]
    assert "minilm, random weights, layer 3 of 3" in curve
    assert "gpt-mini, after (100 %, seed 1), layer 0 of 2" in curve
    assert not any("before" in name for name in curve)


def test_links_lead_to_the_jobs_in_the_audit(shown: Callable[..., Shown]) -> None:
    there, _ = shown(model="minilm")
    assert there.links == {
        "audit.html#job-explorer",
        "audit.html#job-part_attention-minilm-one-nli",
        "audit.html#job-table_probes",
        "audit.html#job-table_scores",
        "audit.html#job-table_association",
    }
    assert "audit.py results/one --html results/one/audit.html" in there.texts["missing"]


def test_keys_go_from_number_to_number_and_each_is_told(
    tables: dict[str, Path], page: Path, tmp_path: Path
) -> None:
    there, console = then(page, tmp_path, """
        const press = (...keys) => keys.forEach((key) => document.activeElement.dispatchEvent(
          new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })));
        const tell = () => document.getElementById("readout").textContent;
        document.querySelector('#heads-charts [tabindex="0"]').focus();
        const told = [tell()];
        press("ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"); told.push(tell());
        press("ArrowUp", "ArrowUp"); told.push(tell());
        press("End"); told.push(tell());
        document.querySelector('#layer-chart [tabindex="0"]').focus();
        press("ArrowRight", "ArrowDown"); told.push(tell());
        const visited = new Set();
        document.querySelector('#points-chart [tabindex="0"]').focus();
        for (let k = 0; k < 20; k++) press("ArrowLeft");
        for (let k = 0; k < 20; k++) { visited.add(tell()); press("ArrowRight"); }
        told.push(String(visited.size), document.getElementById("tip").textContent);
        document.activeElement.blur(); told.push(tell());
        document.getElementById("missing").textContent = told.join("|");
    """)  # fmt: skip
    assert console == []
    told = there.texts["missing"].split("|")
    assert [text.split(".")[0] for text in told[:5]] == [
        "minilm, before, layer 1, head 0",
        "minilm, 100 %, mean of 2 seeds, layer 1, head 1",  # on to the map at its side
        "minilm, 100 %, mean of 2 seeds, layer 1, head 0",
        "minilm, change, layer 3, head 1",
        "minilm, after (100 %, mean of 2 seeds), layer 1 of 3",
    ]
    (row,) = values(tables, "attention", task="one-nli", model="minilm", variant="pretrained",
                    measure="entropy", layer=1, head=0)  # fmt: skip
    assert f"Entropy (bits): {row['value']:.3f}. 95 % interval over examples" in told[0]
    assert told[5] == "8"  # every point of the scatter: two models, fractions and seeds
    assert "Accuracy" in told[6]
    assert told[7].startswith("one-nli: 2 models")


def test_the_pointer_shows_the_number_under_it(
    tables: dict[str, Path], page: Path, tmp_path: Path
) -> None:
    there, console = then(page, tmp_path, """
        const mark = document.querySelector('#layer-chart [aria-label^="gpt-mini, after"]');
        const over = (made) => made.dispatchEvent(
          new PointerEvent("pointerover",
            { bubbles: true, clientX: innerWidth - 9, clientY: innerHeight - 9 }));
        over(mark.querySelector(".mark"));
        const tip = document.getElementById("tip"), box = tip.getBoundingClientRect();
        const told = [tip.innerText, box.right <= innerWidth && box.bottom <= innerHeight];
        over(document.querySelector("h1"));
        document.getElementById("missing").textContent = [...told, tip.hidden].join("|");
    """)  # fmt: skip
    assert console == []
    told, inside, hidden = there.texts["missing"].split("|")
    curve = {"probe": "linear", "view": "joint", "metric": "accuracy", "layer": 0, "percent": 100}
    found = values(tables, "probes", task="one-nli", model="gpt-mini", **curve)
    seeds = [row for row in found if row["seed"] is not None]
    assert told.startswith("gpt-mini, after (100 %, mean of 2 seeds), layer 0 of 2")
    assert f"Accuracy: {sum(row['value'] for row in seeds) / len(seeds):.3f}" in told
    low, high = sorted(row["value"] for row in seeds)
    assert f"range over 2 seeds: {low:.3f} to {high:.3f}" in told
    assert (inside, hidden) == ("true", "true")


def test_it_fits_a_phone(page: Path, tmp_path: Path) -> None:
    """Browsers have no windows of that width, so that it is a frame's."""
    report = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script>"
    text = page.read_text(encoding="utf-8")
    (tmp_path / "inner.html").write_text(text.replace("</body>", f"{report}</body>"), "utf-8")
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<h1></h1><p id='width'></p><script>onmessage = (event) => {"
        " document.getElementById('width').textContent = event.data; };</script>"
        "<iframe src='inner.html' style='width: 360px; height: 800px; border: 0'></iframe>"
    )
    there, console = browse(outer, tmp_path / "profile")
    assert console == []
    assert 300 < int(there.texts["width"]) <= 360


def test_a_choice_changes_what_is_shown_and_the_address(page: Path, tmp_path: Path) -> None:
    there, console = then(page, tmp_path, """
        const choose = (id, value) => { const select = document.getElementById(id);
          select.value = value; select.dispatchEvent(new Event("change", { bubbles: true })); };
        choose("task", "one-ner"); choose("seed", "2"); choose("attention", "distance");
        document.querySelector('#models input[value="minilm"]').click();
        document.getElementById("missing").textContent = location.hash;
    """)  # fmt: skip
    assert console == []
    assert (
        "one-ner: gpt-mini; after fine-tuning on 100 % of the data, seed 2"
        in (there.texts["readout"])
    )
    assert "gpt-mini, 100 %, seed 2, layer 2, head 2" in there.marks["heads-charts"]
    assert not any(name.startswith("minilm") for name in there.marks["points-chart"])
    # The address alone shows the same.
    again = browse(page, tmp_path / "again", there.texts["missing"])
    for name in ("heads-charts", "layer-chart", "fraction-chart", "points-chart"):
        assert again.seen.marks[name] == there.marks[name]


def test_a_name_is_never_markup(tables: dict[str, Path], tmp_path: Path) -> None:
    from layerscope.explorer.content import contents
    from layerscope.explorer.page import page as whole

    evil = "</script><img src=x onerror=alert(1)>"
    renamed = {}
    for name in ("scores", "probes", "attention"):
        table = read_frame(tables[name], f"{name}-table")
        renamed[name] = table.replace({"task": {"one-nli": evil}, "model": {"minilm": evil}})
    out = tmp_path / "explorer.html"
    out.write_text(whole(contents(evil, renamed, 0.95)), encoding="utf-8")
    there, console = browse(out, tmp_path / "profile")
    assert console == []
    assert "img" not in there.tags
    assert f"{evil}: 2 models" in there.texts["readout"]
    assert any(name.startswith(f"{evil}, before") for name in there.marks["heads-charts"])


def test_a_study_of_nothing_is_shown_as_such_and_errors_are_heard(
    page: Path, tmp_path: Path
) -> None:
    from layerscope.explorer.content import contents
    from layerscope.explorer.page import page as whole

    out = tmp_path / "explorer.html"
    out.write_text(whole(contents("none", {}, 0.95)), encoding="utf-8")
    there, console = browse(out, tmp_path / "profile")
    assert console == []
    assert there.texts["main"] == "The study's tables are empty."
    _, console = then(page, tmp_path, "throw new Error('planted')")
    assert len(console) == 1
    assert "planted" in console[0]
