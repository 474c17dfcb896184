"""Make a corpus to pre-train on: a training part, a held-out part, and a report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from layerscope.config.corpora import CorpusSettings, HpoText, PackageDocs
from layerscope.core.files import write_json
from layerscope.core.formats import write_table
from layerscope.data.corpora import hpo_text, package_docs, text_files
from layerscope.data.docstrings import package_releases
from layerscope.data.hpo import assign_splits
from layerscope.data.ontology import installed_file, provenance, read_ontology
from layerscope.data.settings import read_settings
from layerscope.data.textfile import read_text
from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, make the corpus, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON: source, max_words, seed")
    parser.add_argument(
        "--out-dir", required=True, type=Path, help="gets train and heldout.parquet, report.json"
    )
    arguments = parser.parse_args()
    settings = read_settings(CorpusSettings, arguments.settings)
    source: dict[str, Any]
    if isinstance(settings.source, HpoText):
        ontology = read_ontology(installed_file())
        split_of = assign_splits(ontology, settings.seed)
        corpus = hpo_text(ontology, split_of, settings.max_words, settings.seed)
        source = provenance(ontology)
    elif isinstance(settings.source, PackageDocs):
        packages = settings.source.packages
        corpus = package_docs(packages, settings.max_words, settings.seed)
        source = {
            "name": "Docstrings of Python packages",
            "packages": package_releases(packages),
        }
    else:
        files = {
            part: read_text(Path(getattr(settings.source, part))) for part in ("train", "heldout")
        }
        corpus, dropped = text_files(
            files["train"], files["heldout"], settings.max_words, settings.seed
        )
        source = {
            "name": "text files",
            "files": {
                part: {"file": file.path.name, **file.facts, **file.repaired}
                for part, file in files.items()
            },
            "sentences_of_train_not_held_out": dropped,
        }
    report: dict[str, Any] = {
        "kind": settings.source.kind,
        "seed": settings.seed,
        "max_words": settings.max_words,
        "source": source,
    }
    for part, documents in (("train", corpus.train), ("heldout", corpus.heldout)):
        columns = {
            "text_id": [id_ for id_, _ in documents],
            "text": [text for _, text in documents],
        }
        write_table(arguments.out_dir / f"{part}.parquet", "corpus", columns, {"source": source})
        report[part] = {
            "documents": len(documents),
            "words": sum(len(text.split()) for _, text in documents),
            "characters": sum(len(text) for _, text in documents),
        }
    write_json(arguments.out_dir / "report.json", report)


if __name__ == "__main__":
    run(main)
