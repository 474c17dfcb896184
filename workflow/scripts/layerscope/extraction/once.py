"""Each distinct text encoded once, so that identical texts get identical vectors.

Rounding depends on what else is in a batch: with bfloat16 the same text in two batches differs by
up to 1e-3. Vectors of texts that come again in a later block wait in an unnamed file, so that
memory stays that of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from layerscope.core.encodings import SEPARATE, TEXT

Vectors = npt.NDArray[np.float32]
#: A text, the two texts of a pair, or the words of a sentence.
Text = str | tuple[str, ...]

BETWEEN = "\x1f"  # of texts that are joined to be counted


def texts_of(table: pa.Table, how: str) -> list[Text]:
    """What is encoded of prepared rows: `separate`, first all premises and then all hypotheses."""
    if how == TEXT:
        texts: list[Text] = table["text"].to_pylist()
        return texts
    if how == "word":
        return [tuple(words) for words in table["tokens"].to_pylist()]
    premises, hypotheses = (table[name].to_pylist() for name in ("premise", "hypothesis"))
    if how == SEPARATE:
        return [*premises, *hypotheses]
    return list(zip(premises, hypotheses, strict=True))


def _joined(table: pa.Table, how: str) -> pa.ChunkedArray:
    """The same as strings."""
    if how == TEXT:
        return table["text"]
    if how == "word":
        return pc.binary_join(table["tokens"], BETWEEN)
    premises, hypotheses = table["premise"], table["hypothesis"]
    if how == SEPARATE:
        return pa.chunked_array([*premises.chunks, *hypotheses.chunks], pa.string())
    return pc.binary_join_element_wise(premises, hypotheses, BETWEEN)


class Once:
    """Vectors of texts, each computed when it first comes.

    Args:
        tables: prepared rows, of all splits that are to agree.
        how: their encoding: "separate", "joint", "text" or "word".
        file: empty; where vectors wait.
    """

    def __init__(self, tables: Sequence[pa.Table], how: str, file: BinaryIO) -> None:
        chunks = [chunk for table in tables for chunk in _joined(table, how).chunks]
        counts = pa.table(
            pc.value_counts(pa.chunked_array(chunks, pa.string())).flatten(), ["text", "count"]
        )
        several = counts.filter(pc.greater(counts["count"], 1))
        self.left = dict(
            zip(several["text"].to_pylist(), several["count"].to_pylist(), strict=True)
        )
        # Where each text's vectors lie in the file, and their shape.
        self.places: dict[Text, tuple[int, tuple[int, ...]]] = {}
        self.file = file

    def vectors(
        self, texts: Sequence[Text], encode: Callable[[list[Text]], list[Vectors]]
    ) -> list[Vectors]:
        """Vectors of each text: those of new ones are computed, all new ones together.

        Args:
            texts: of a block, in any order and number.
            encode: from distinct texts to an array of each.
        """
        distinct = list(dict.fromkeys(texts))
        new = [text for text in distinct if text not in self.places]
        found = dict(zip(new, encode(new), strict=True)) if new else {}
        for text in distinct:
            if text in self.places:
                found[text] = self._read(*self.places[text])
        for text in texts:
            key = text if isinstance(text, str) else BETWEEN.join(text)
            if key in self.left:
                self.left[key] -= 1
        for text in distinct:
            self._keep(text, found[text])
        return [found[text] for text in texts]

    def _keep(self, text: Text, vectors: Vectors) -> None:
        """Write what comes again, and forget what does not."""
        key = text if isinstance(text, str) else BETWEEN.join(text)
        if self.left.get(key, 0) <= 0:
            self.places.pop(text, None)
            self.left.pop(key, None)
        elif text not in self.places:
            place = self.file.seek(0, 2)
            self.file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
            self.places[text] = (place, vectors.shape)

    def _read(self, place: int, shape: tuple[int, ...]) -> Vectors:
        self.file.seek(place)
        read = self.file.read(4 * int(np.prod(shape)))
        return np.frombuffer(read, np.float32).reshape(shape)
