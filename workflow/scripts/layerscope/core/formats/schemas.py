"""Columns of each kind of Parquet file, and the version of all."""

from __future__ import annotations

import pyarrow as pa

from layerscope.core.formats.table_schemas import ERASED, TABLE_SCHEMAS

VERSION = 1
METADATA_KEY = b"layerscope"

_STRING_LIST = pa.list_(pa.string())

#: Columns of each kind of file. Kinds that end in `*` may have further columns of the given type.
SCHEMAS: dict[str, dict[str, pa.DataType]] = {
    "nli": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "premise": pa.string(),
        "hypothesis": pa.string(),
        "label": pa.string(),
    },
    "classification": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "text": pa.string(),
        "label": pa.string(),
    },
    "ner": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "tokens": _STRING_LIST,
        "tags": _STRING_LIST,
    },
    "corpus": {"text_id": pa.string(), "text": pa.string()},
    "sample": {"example_id": pa.string()},
    # One row an example (word_index is 0) or a word; probabilities follow the label names in the
    # metadata.
    "predictions": {
        "example_id": pa.string(),
        "group_id": pa.string(),
        "word_index": pa.int32(),
        "label": pa.string(),
        "predicted": pa.string(),
        "probabilities": pa.list_(pa.float32()),
    },
    # `rows` is the split that a probe learned from.
    "probe": {
        "rows": pa.string(),
        "view": pa.string(),
        "layer": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "probe_seed": pa.int64(),
    },
    # One row an example, layer and head; measures that need a second model are null without one.
    "attention": {
        "example_id": pa.string(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "measure": pa.string(),
        "value": pa.float32(),
    },
    "similarity": {
        "view": pa.string(),
        "layer": pa.int32(),
        "measure": pa.string(),
        "value": pa.float64(),
    },
    # Of masked heads: what stands in for them, their share of each layer's (in percent), and the
    # draw of random ones. Of an erased label: where the eraser was fitted (at the token read, or to
    # means), the layer, how far it moves tokens, and what a fresh probe of the token read finds.
    "intervention": {
        "intervention": pa.string(),
        "ablation": pa.string(),
        "fitted": pa.string(),
        "layer": pa.int32(),
        "share": pa.int32(),
        "draw": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "change": pa.float64(),
        **ERASED,
    },
    # Of exchanged layers: which (`patch`), into which model, and the weight on the straight line.
    "patch": {
        "patch": pa.string(),
        "direction": pa.string(),
        "layer": pa.int32(),
        "weight": pa.float64(),
        "metric": pa.string(),
        "value": pa.float64(),
        "change": pa.float64(),
    },
    # A row per lens, layer (0: embeddings) and metric; of the model itself (`none`), no layer.
    "head_lens": {
        "lens": pa.string(),
        "layer": pa.int32(),
        "metric": pa.string(),
        "value": pa.float64(),
    },
    # Of an example's loss with respect to a gate of 1 on a head.
    "head_importance": {
        "example_id": pa.string(),
        "layer": pa.int32(),
        "head": pa.int32(),
        "key_value_head": pa.int32(),
        "gradient": pa.float32(),
    },
    # `text` is the place of a text among those drawn; null in measures of all of them together.
    "representation_quality": {
        "text": pa.int32(),
        "layer": pa.int32(),
        "measure": pa.string(),
        "value": pa.float64(),
    },
    # `labels` says whether those of the training rows were permuted; `draw` is 0 for all rows.
    "usable_information": {
        "view": pa.string(),
        "family": pa.string(),
        "layer": pa.int32(),
        "labels": pa.string(),
        "draw": pa.int32(),
        "value": pa.float64(),
    },
    **TABLE_SCHEMAS,
}
