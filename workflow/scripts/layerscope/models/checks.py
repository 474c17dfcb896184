"""What a folder with a model has to hold: refused in one line before its weights are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedConfig, PreTrainedModel

from layerscope.core.errors import UserError, show
from layerscope.core.files import read_json_object

#: Numbers of a configuration below which there is nothing to study, where a model has them.
_AT_LEAST_ONE = ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
#: Model types that mix all positions of a batch, padding too.
_WITHOUT_MASK = frozenset({"fnet", "nystromformer", "yoso"})
_FLOATS = ("F64", "F32", "F16", "BF16")


@contextmanager
def loading(folder: str | Path, what: str) -> Iterator[None]:
    """Turn whatever transformers raises for the files of a folder into one line.

    Files of any content give errors of any type. Too little memory is another matter.

    Raises:
        UserError: something is raised in the block.
    """
    try:
        yield
    except (UserError, MemoryError, RuntimeError) as error:
        if not isinstance(error, RecursionError):
            raise
        raise UserError(f"{folder}: no {what} can be loaded (JSON nested too deeply)") from None
    except Exception as error:
        reason = " ".join(str(error).split())
        if isinstance(error, KeyError):  # mostly a value of the configuration that is looked up
            reason = f"{_holder(Path(folder), error.args[0])} {show(error.args[0])} is not known"
        reason = reason if len(reason) <= 300 else reason[:297] + "..."
        raise UserError(f"{folder}: no {what} can be loaded ({reason})") from None


def _holder(folder: Path, value: object) -> str:
    """The key of a configuration with this value."""
    found = [
        name for name, each in read_json_object(folder / "config.json").items() if each == value
    ]
    return found[0] if found else "key"


def require_float_weights(folder: str | Path) -> None:
    """Stop where a folder's configuration says that its weights are quantised, or no numbers.

    Raises:
        UserError: it does, or is no JSON object.
    """
    path = Path(folder, "config.json")
    content = read_json_object(path)
    for name in ("dtype", "torch_dtype"):
        value = content.get(name)
        if isinstance(value, str) and not hasattr(torch, value.removeprefix("torch.")):
            raise UserError(f"{path}: {name} is {value!r}; allowed: one of torch, as in 'float32'")
    stated = content.get("quantization_config")
    if stated is not None:
        method = stated.get("quant_method", "unknown") if isinstance(stated, dict) else stated
        raise UserError(
            f"{path}: quantization_config with method {method!r}; allowed: weights that are not "
            "quantised, and a configuration without this entry"
        )


def require_dtype(config: PreTrainedConfig, dtype: torch.dtype, folder: str | Path) -> None:
    """Stop where a model does not compute with weights of a type.

    Raises:
        UserError: it does not.
    """
    if config.model_type == "xlnet" and dtype != torch.float32:  # its masks are float32
        raise UserError(f"{folder}: XLNet with dtype bfloat16; allowed: float32")


def require_layers(config: PreTrainedConfig, folder: str | Path) -> None:
    """Stop where a configuration is of a model without layers or heads, or not of text alone.

    Raises:
        UserError: it is.
    """
    if config.model_type in _WITHOUT_MASK:
        raise UserError(
            f"{Path(folder, 'config.json')}: model_type {config.model_type!r} reads padding as "
            "text; allowed: a model with an attention mask"
        )
    if not hasattr(config, "num_hidden_layers") or not hasattr(config, "hidden_size"):
        raise UserError(
            f"{Path(folder, 'config.json')}: model_type {config.model_type!r} has no number of "
            "layers and width of its own; allowed: a model of text alone"
        )
    inner = getattr(config, "word_embed_proj_dim", config.hidden_size)  # of OPT
    if inner != config.hidden_size:
        raise UserError(
            f"{Path(folder, 'config.json')}: word_embed_proj_dim is {inner}, and hidden_size "
            f"{config.hidden_size}; allowed: the same, so that all layers are of one width"
        )
    for name in _AT_LEAST_ONE:
        value = getattr(config, name, 1)
        if isinstance(value, int) and value < 1:
            raise UserError(f"{Path(folder, 'config.json')}: {name} is {value}; allowed: 1 or more")


def require_whole_body(
    model: PreTrainedModel, unexpected: Iterable[str], folder: str | Path
) -> None:
    """Stop where weights of the body are left over, or are integers.

    A head or pooler that is not used is no fault, nor are buffers that models once stored.

    Args:
        model: as loaded.
        unexpected: names in the file that transformers found no place for.
        folder: the model's.

    Raises:
        UserError: a weight is left over, so that the configuration is another model's, or an
            integer stands for a weight, whose scale nobody knows.
    """
    parts = {name for name, _ in model.base_model.named_children()}
    left, prefix = set(unexpected), f"{model.base_model_prefix}."
    places = {name.removeprefix(prefix) for name, _ in model.named_parameters()}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                stored = file.get_slice(name)
                plain = name.removeprefix(prefix)
                is_float = stored.get_dtype() in _FLOATS
                if plain in places and not is_float:
                    raise UserError(
                        f"{path}: {name} holds {stored.get_dtype()}, which is no weight without "
                        f"its scale; allowed: {', '.join(_FLOATS)}"
                    )
                is_weight = is_float and 0 < len(stored.get_shape()) < 4  # masks have four
                if name in left and is_weight and _is_of(plain, parts):
                    raise UserError(
                        f"{path}: {name} has no place in the model of config.json; allowed: "
                        "weights and configuration of one model"
                    )


def _is_of(name: str, parts: set[str]) -> bool:
    return name.partition(".")[0] in parts and "pooler" not in name and "inv_freq" not in name
