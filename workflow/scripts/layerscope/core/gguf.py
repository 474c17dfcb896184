"""GGUF files: which one a folder holds, and what its header says, without a model library.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

from layerscope.core.errors import UserError

#: Numbers of the header by the code of their type; 8 is a text and 9 an array.
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_TEXT, _ARRAY = 8, 9
#: Keys of a model's `config.json` by those of the header, which begin with the architecture.
_KEYS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
    "context_length": "max_position_embeddings",
    "feed_forward_length": "intermediate_size",
    "vocab_size": "vocab_size",
}
_TOKENS = "tokenizer.ggml.tokens"


def gguf_file(folder: Path) -> Path | None:
    """The GGUF file that a folder's model is read from; None where it has safetensors, or no such.

    Raises:
        UserError: there are several, in one of which the model's weights may be but a part.
    """
    found = sorted(folder.glob("*.gguf"))
    if not found or any(folder.glob("*.safetensors")):
        return None
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{folder}: {len(found)} GGUF files ({names}); allowed: one")
    return found[0]


def gguf_sizes(path: Path) -> dict[str, Any]:
    """Sizes of a model by keys of `config.json`, from the header of its GGUF file.

    What the header does not say, or not as a number, is left out; so is all of what is no GGUF.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read_sizes(_Header(data))
    except (OSError, KeyError, ValueError, struct.error):
        return {}


class _Header:
    """What is read from a header, one value after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._at = data, 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        form = f"<{form}"
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def text(self) -> str:
        length = self._skip_text()
        return self._data[self._at - length : self._at].decode()

    def value(self) -> Any:
        """A number; of a text or an array, which are passed over, a list with its length."""
        (kind,) = self.numbers("I")
        if kind == _TEXT:
            return [self._skip_text()]
        if kind != _ARRAY:
            return self.numbers(_NUMBERS[kind])[0]
        kind, length = self.numbers("IQ")
        if kind == _TEXT:
            for _ in range(length):
                self._skip_text()
        else:
            self._at += length * struct.calcsize(_NUMBERS[kind])
        return [length]

    def _skip_text(self) -> int:
        (length,) = self.numbers("Q")
        self._at += length
        return int(length)


def _read_sizes(header: _Header) -> dict[str, Any]:
    magic, _, _, count = header.numbers("4sIQQ")
    if magic != b"GGUF":
        return {}
    found: dict[str, Any] = {}
    for _ in range(count):
        name, value = header.text(), header.value()
        own = _KEYS.get(name.partition(".")[2])
        if own and isinstance(value, int | float):
            found[own] = value
        elif name == _TOKENS:
            found.setdefault("vocab_size", value[0])
    return found
