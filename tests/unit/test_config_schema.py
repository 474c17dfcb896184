"""The JSON schema for editors and the documentation say what the models say."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from forking import run_program
from pydantic import BaseModel

from layerscope.config.load import read_yaml, validate
from layerscope.config.mistakes import allowed
from layerscope.config.schema import Study
from layerscope.config.training import FineTuning
from write_schema import GENERATED, schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "config" / "config.schema.json"
PROGRAM = ROOT / "workflow" / "scripts" / "write_schema.py"


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_generated_is_up_to_date(name: str) -> None:
    text = GENERATED[name]()
    assert (ROOT / name).read_text(encoding="utf-8") == text, "run workflow/scripts/write_schema.py"


@pytest.mark.slow
def test_check_finds_drift_in_one_line_and_writing_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "config" / "config.schema.json"
    assert run_program(PROGRAM, "--root", str(tmp_path)).returncode == 0
    assert path.read_text(encoding="utf-8") == schema_text()
    fresh = run_program(PROGRAM, "--check", "--root", str(tmp_path))
    assert (fresh.returncode, fresh.stderr) == (0, "")
    path.write_text(schema_text().replace("peak rate", "peek rate"), encoding="utf-8")
    before = path.read_bytes()
    stale = run_program(PROGRAM, "--check", "--root", str(tmp_path))
    assert stale.returncode == 1
    (line,) = stale.stderr.splitlines()
    assert line.startswith(f"error: {path}: differs")
    assert path.read_bytes() == before
    path.unlink()
    gone = run_program(PROGRAM, "--check", "--root", str(tmp_path))
    assert gone.returncode == 1
    assert "config.schema.json: no such file" in gone.stderr
    assert len(gone.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_fits_the_schema(path: Path) -> None:
    # plainly loaded, as editors do
    validator().validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def _set(config: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(config)
    *way, last = dotted.split(".")
    here = changed
    for key in way:
        here = here[key]
    here[last] = value
    return changed


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("modles", {}),
        ("models.minilm.sorce", {}),
        ("models.Bad Name", {}),
        ("models.minilm.source.kind", "hub"),
        ("models.minilm.source.corpus", "hpo"),
        ("probes.linear.hidden", 3),
        ("variants.percentages", [0, 130]),
        ("variants.percentages", []),
        ("finetuning.nli.learning_rate", "5e-5"),
        ("finetuning.nli.epochs", True),
        ("study", 3),
        ("tasks.hpo-nli.kind", "nil"),
        ("corpora.hpo.source.kind", "docs"),
    ],
)
def test_the_schema_refuses_what_the_models_refuse(place: str, value: Any) -> None:
    config = _set(read_yaml(ROOT / "config" / "config.yaml"), place, value)
    assert list(validator().iter_errors(config))


def _sections(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> None:
    """All models below a model, by name of the class."""
    found[model.__name__] = model

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation.__name__ not in found:
                _sections(annotation, found)
        else:
            for inner in getattr(annotation, "__args__", ()):
                walk(inner)

    for field in model.model_fields.values():
        walk(field.annotation)


def sections() -> list[type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}
    _sections(Study, found)
    return list(found.values())


def test_sections_are_all_found() -> None:
    assert {s.__name__ for s in sections()} == set(json.loads(schema_text())["$defs"]) | {"Study"}


@pytest.mark.parametrize("section", sections(), ids=lambda s: s.__name__)
def test_every_field_has_help(section: type[BaseModel]) -> None:
    without = [name for name, field in section.model_fields.items() if not field.description]
    assert not without
    assert section.__doc__


def test_the_demo_is_valid_and_names_its_schema() -> None:
    path = ROOT / "config" / "config.yaml"
    assert validate(read_yaml(path)).study == "demo"
    assert path.read_text(encoding="utf-8").startswith(
        "# yaml-language-server: $schema=config.schema.json\n"
    )


# --- docs/configuration.md ---------------------------------------------------------------------

#: Where each section is explained. `{name}` is the name of an entry.
HEADINGS = {
    "Study": "The study",
    "Task": "`tasks.{name}`",
    "HpoNli": "`tasks.{name}.source`, `kind: hpo-nli`",
    "HpoNer": "`tasks.{name}.source`, `kind: hpo-ner`",
    "LocalFiles": "`tasks.{name}.source`, `kind: files`",
    "HubFiles": "`tasks.{name}.source`, `kind: hub`",
    "HubDataset": "`tasks.{name}.source`, `kind: dataset`",
    "SplitNames": "`tasks.{name}.source.splits`",
    "SplitFiles": "`tasks.{name}.source.files`",
    "HeldOut": "`tasks.{name}.source.held_out`",
    "SplitCounts": "`tasks.{name}.source.examples`",
    "Limit": "`tasks.{name}.limit`",
    "Corpus": "`corpora.{name}`",
    "HpoText": "`corpora.{name}.source`, `kind: hpo-text`",
    "PackageDocs": "`corpora.{name}.source`, `kind: package-docs`",
    "TextFiles": "`corpora.{name}.source`, `kind: files`",
    "Model": "`models.{name}`",
    "PackagedModel": "`models.{name}.source`, `kind: package`",
    "LocalModel": "`models.{name}.source`, `kind: folder`",
    "HubModel": "`models.{name}.source`, `kind: hub`",
    "HubSize": "`models.{name}.source.size`, `kind: hub`",
    "ContinuedModel": "`models.{name}.source`, `kind: continued`",
    "ScratchModel": "`models.{name}.source`, `kind: scratch`",
    "Shape": "`models.{name}.source.shape`",
    "PreTraining": "`models.{name}.source.training`",
    "ModelFineTuning": "`models.{name}.finetuning`",
    "FineTuningOverride": "`models.{name}.finetuning.nli`, `….classification` and `….ner`",
    "Lora": "`models.{name}.adapter`, `kind: lora`",
    "Grid": "`variants`",
    "FineTuningByKind": "`finetuning`",
    "FineTuning": "`finetuning.nli`, `finetuning.classification` and `finetuning.ner`",
    "Activations": "`activations`",
    "EveryLayer": "`activations.layers`",
    "LinearProbe": "`probes.{name}`, `kind: linear`",
    "SvmProbe": "`probes.{name}`, `kind: svm`",
    "BilstmCrfProbe": "`probes.{name}`, `kind: bilstm-crf`",
    "Attention": "`attention`",
    "Interventions": "`interventions`",
    "Analyses": "`analyses`",
    "Statistics": "`statistics`",
}


def explained() -> dict[str, dict[str, list[str]]]:
    """Rows of the documentation's tables: heading, entry, and the cells after it."""
    found: dict[str, dict[str, list[str]]] = {}
    heading = ""
    for line in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif line.startswith("| `"):
            entry, *cells = [cell.strip() for cell in line.strip("| ").split("|")]
            found.setdefault(heading, {})[entry.strip("`")] = cells
    return found


def limits(field: Any) -> set[str]:
    """Bounds and choices of a field, as the models hold them."""
    text = allowed(field.annotation, field.metadata)
    if not re.search(r"lower-case letters|mapping", text):
        return set(re.findall(r"[\d.]*\d|(?<=')[\w-]+(?=')", text))
    return set()


def test_the_documentation_has_every_section_and_no_other() -> None:
    assert set(HEADINGS) == {section.__name__ for section in sections()}
    assert set(explained()) == set(HEADINGS.values())


@pytest.mark.parametrize("section", sections(), ids=lambda s: s.__name__)
def test_the_documentation_has_every_entry(section: type[BaseModel]) -> None:
    rows = explained()[HEADINGS[section.__name__]]
    assert list(rows) == list(section.model_fields)
    for name, field in section.model_fields.items():
        takes, default = rows[name][:2]
        assert {limit for limit in limits(field) if limit not in takes} == set(), name
        if section is FineTuning:
            assert default == "the protocol's", name
        elif field.is_required():
            assert default == "required", name
        elif not isinstance(field.default, BaseModel):
            shown = field.default if isinstance(field.default, str) else json.dumps(field.default)
            assert default == f"`{shown}`", name
