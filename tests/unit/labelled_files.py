"""Good labelled files of each kind and format, and what they are read as."""

from layerscope.config.tasks import LocalFiles, check_source
from layerscope.core.files import read_json
from layerscope.core.formats import read_table
from layerscope.data.labelled import read_task
from layerscope.data.prepared import write_task

EVERYTHING = {"train": None, "validation": None, "test": None}
PAIRS = "premise,hypothesis,label\nIt rains.,It is wet.,yes\nIt is dry.,It rains.,no\n"
TEXTS = "text,label\nIt rains.,yes\nIt is dry.,no\n"
SENTENCES = "IL-2\tB-gene\nworks\tO\n\nNo\tO\nHeLa\tB-cell\ncells\tI-cell\n"
#: A good file of each kind and format.
GOOD = {
    ("nli", "csv"): PAIRS,
    ("nli", "tsv"): PAIRS.replace(",", "\t"),
    ("nli", "jsonl"): '{"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"}\n'
    '{"premise": "It is dry.", "hypothesis": "It rains.", "label": "no"}\n',
    ("classification", "csv"): TEXTS,
    ("classification", "tsv"): TEXTS.replace(",", "\t"),
    ("classification", "jsonl"): '{"text": "It rains.", "label": "yes"}\n'
    '{"text": "It is dry.", "label": "no"}\n',
    ("ner", "conll"): SENTENCES,
    ("ner", "jsonl"): '{"tokens": ["IL-2", "works"], "tags": ["B-gene", "O"]}\n'
    '{"tokens": ["No", "HeLa", "cells"], "tags": ["O", "B-cell", "I-cell"]}\n',
    ("ner", "csv"): "example_id,tokens,tags\na,IL-2,B-gene\na,works,O\n"
    "b,No,O\nb,HeLa,B-cell\nb,cells,I-cell\n",
    ("ner", "tsv"): "example_id\ttokens\ttags\na\tIL-2\tB-gene\na\tworks\tO\n"
    "b\tNo\tO\nb\tHeLa\tB-cell\nb\tcells\tI-cell\n",
}


def save(folder, layout, *texts):
    """Files of training, validation and test; what is left out is as the one before."""
    texts = [*texts, *[texts[-1]] * (3 - len(texts))]
    names = {}
    for split, text in zip(EVERYTHING, texts, strict=True):
        names[split] = f"{split}.{layout}"
        data = text if isinstance(text, bytes) else text.encode()
        (folder / names[split]).write_bytes(data)
    return names


def read(folder, kind, layout, *texts, limit=EVERYTHING, **options):
    files = save(folder, layout, *texts)
    source = LocalFiles(kind="files", files=files, format=layout, **options)
    check_source(kind, source)
    return read_task(kind, source, folder, limit, 1)


def prepared(folder, kind, layout, *texts, **options):
    """Rows of the training table, and the report."""
    write_task(folder / "out", read(folder, kind, layout, *texts, **options))
    rows = read_table(folder / "out" / "train.parquet", kind).to_pylist()
    return rows, read_json(folder / "out" / "report.json")
