"""layerscope: what a language model encodes, layer by layer, before and after fine-tuning."""

from importlib import import_module
from os import PathLike
from typing import Any


def open_study(folder: str | PathLike[str]) -> Any:
    """Open a study for reading: its tables are data frames.

    Args:
        folder: of its results, such as `results/demo`, wherever it lies.

    Returns:
        A `layerscope.interface.study.OpenStudy`.

    Raises:
        UserError: there is no such folder, or it is not that of a study.
    """
    # By name: every program imports this package, and none may rerun for what it does not use.
    return import_module("layerscope.interface.study").OpenStudy(folder)
