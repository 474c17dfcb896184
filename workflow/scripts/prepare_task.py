"""Derive a task or read it from files: one table per split, and a report."""

from __future__ import annotations

import argparse
from pathlib import Path

from layerscope.config.tasks import InFiles, TaskSettings
from layerscope.data.derive import derive_task
from layerscope.data.labelled import read_task
from layerscope.data.ontology import installed_file, read_ontology
from layerscope.data.prepared import write_task
from layerscope.data.settings import read_settings, with_statements
from layerscope.runtime.program import run


def main() -> None:
    """Read the arguments, derive or read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON: kind, source, limit, seed")
    parser.add_argument(
        "--statements", default="{}", help="JSON: digests, counts, license … of the source's files"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder of the source's files; default: the one that it names"
    )
    parser.add_argument(
        "--out-dir", required=True, type=Path, help="gets {split}.parquet and report.json"
    )
    arguments = parser.parse_args()
    settings = read_settings(TaskSettings, arguments.settings)
    settings = with_statements(settings, arguments.statements)
    source, limit = settings.source, settings.limit.model_dump()
    if isinstance(source, InFiles):
        folder = arguments.folder or Path(getattr(source, "folder", "."))
        task = read_task(settings.kind, source, folder, limit, settings.seed)
    else:
        task = derive_task(read_ontology(installed_file()), source.kind, limit, settings.seed)
    write_task(arguments.out_dir, task)


if __name__ == "__main__":
    run(main)
