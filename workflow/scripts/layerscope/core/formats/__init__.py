"""The Parquet formats that stages meet in: one schema a kind of file, one writer, one reader.

Every file carries in its schema metadata, below the key `layerscope`, a JSON object with `kind`,
`format` (version) and what the writer adds, such as label names or digests of what it was made
from. Readers check kind, version and columns.
"""

from layerscope.core.formats.activations import (
    ActivationWriter,
    Vectors,
    activation_metadata,
    layer_column,
    read_keys,
    read_layer,
    stored_layers,
)
from layerscope.core.formats.schemas import METADATA_KEY, SCHEMAS, VERSION
from layerscope.core.formats.tables import (
    Rows,
    file_metadata,
    read_sample,
    read_table,
    write_blocks,
    write_table,
)

__all__ = [
    "METADATA_KEY",
    "SCHEMAS",
    "VERSION",
    "ActivationWriter",
    "Rows",
    "Vectors",
    "activation_metadata",
    "file_metadata",
    "layer_column",
    "read_keys",
    "read_layer",
    "read_sample",
    "read_table",
    "stored_layers",
    "write_blocks",
    "write_table",
]
