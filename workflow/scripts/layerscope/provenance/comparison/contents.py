"""What a study holds, from its run records and from the files themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from layerscope.provenance.elsewhere import is_caption
from layerscope.provenance.studies import Study
from layerscope.run_records.content import ENDING, Record, cached_sha256, package_of

#: Folders below the results that hold what rules made; others say how a study ran, or describe it.
KINDS = frozenset(
    {
        *("corpora", "data", "samples", "pretrained", "finetuned", "activations", "attention"),
        *(
            "predictions",
            "probes",
            "similarity",
            "cross_model_similarity",
            "interventions",
            "patching",
            "head_lens",
            "head_importance",
            "representation_quality",
            "usable_information",
            "scores",
        ),
        *("parts", "tables", "figures"),
    }
)
#: Kinds of products whose jobs give a folder, and how deep below the results it lies.
FOLDERS = {"activations": 4, "finetuned": 4, "pretrained": 2}
#: Kinds of products that later stages learn from and are tested on.
DATA = frozenset({"corpora", "data", "pretrained", "samples"})
RESOURCES = "resources/"


def own_jobs(study: Study) -> list[Record]:
    """Records of all jobs that made the study, those that fetched what it reads among them.

    Jobs that were killed or failed made nothing and are left out.
    """
    found: dict[tuple[str, str, str], Record] = {}
    waiting = sorted((path for path in study.made if _inside(study, path)), reverse=True)
    while waiting:
        kept = study.made.get(waiting.pop())
        if kept is None or kept.record.get("exit") != 0:
            continue
        key = (kept.record["started"], kept.record["rule"], kept.record["writer"])
        if key not in found:
            found[key] = kept.record
            waiting += [entry["path"] for entry in kept.record["inputs"]]
    return [found[key] for key in sorted(found)]


def _inside(study: Study, path: str) -> bool:
    return path.startswith(f"results/{study.name}/")


def products(study: Study) -> dict[str, str]:
    """SHA-256 of each product, by its path from the results; a folder of weights counts as one.

    Digests are of the present files. Temporary outputs that are gone have that in their record.
    """
    found = {
        path.relative_to(study.results).as_posix(): cached_sha256(path)
        for path in _units(study.results)
    }
    for path, kept in study.made.items():
        name = path.removeprefix(f"results/{study.name}/")
        if _inside(study, path) and name not in found and kept.record.get("exit") == 0:
            (entry,) = [entry for entry in kept.record["outputs"] if entry["path"] == path]
            if entry.get("temporary") and "sha256" in entry:
                found[name] = entry["sha256"]
    return found


def _units(results: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(results):
        depth = len(Path(folder).relative_to(results).parts)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if not depth:
            folders[:] = [name for name in folders if name in KINDS]
            continue
        if depth + 1 == FOLDERS.get(kind_of(Path(folder).relative_to(results).as_posix())):
            yield from (Path(folder, name) for name in folders)
            folders.clear()
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(ENDING):
                yield Path(folder, name)


def kind_of(product: str) -> str:
    """`probes` of `probes/task/model/variant/probe.parquet`."""
    return product.partition("/")[0]


def data_of(products: Mapping[str, str]) -> dict[str, str]:
    """Those products that are prepared data, samples or pre-trained models, not reports on them."""
    return {
        name: digest
        for name, digest in products.items()
        if kind_of(name) in DATA and not name.endswith(".json")
    }


def raw_inputs(study: Study, jobs: Iterable[Record]) -> dict[str, list[str]]:
    """Digests of what a study reads and did not make: packages, fetched folders, files of users.

    A file is named by what it is read for, such as `genes: train.conll`, since it may lie elsewhere
    on another machine.
    """
    found: dict[str, set[str]] = {}
    for job in jobs:
        for entry in job["inputs"]:
            path, package = str(entry["path"]), package_of(entry)
            if _inside(study, path) or is_caption(study, path):
                continue
            if package:
                name = f"package {package}"
            elif path.startswith(RESOURCES):
                name = path.removeprefix(RESOURCES)
            else:
                owner = "/".join(job["wildcards"].values()) or job["rule"]
                name = f"{owner}: {Path(path).name}"
            found.setdefault(name, set()).add(entry["sha256"])
    return {name: sorted(digests) for name, digests in found.items()}


def code_by_rule(jobs: Iterable[Record]) -> dict[str, dict[str, list[str]]]:
    """Digests of each module that jobs of a rule consisted of.

    Whether activations stay makes no difference in what is done, so those rules count as one.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for job in jobs:
        modules = found.setdefault(job["rule"].removesuffix("_temp"), {})
        for module, digest in job["code"]["modules"].items():
            modules.setdefault(module, set()).add(digest)
    return {
        rule: {module: sorted(digests) for module, digests in modules.items()}
        for rule, modules in found.items()
    }


def commits(jobs: Iterable[Record]) -> list[str]:
    """Commits that jobs ran from, in order; those with edits that were not committed say so."""
    found = dict.fromkeys(
        f"{job['commit']} with edits" if job["dirty"] else str(job["commit"] or "no commit")
        for job in jobs
    )
    return list(found)


def versions(jobs: Iterable[Record]) -> dict[str, str]:
    """Versions of Python and packages; of one that changed within the study, all of them."""
    found: dict[str, set[str]] = {}
    for job in jobs:
        for package, version in job["versions"].items():
            found.setdefault(package, set()).add(version)
    return {package: ", ".join(sorted(versions)) for package, versions in found.items()}


def machines(jobs: Iterable[Record]) -> list[str]:
    """Processors and GPUs that jobs ran on."""
    found = set()
    for job in jobs:
        found.add(job["machine"]["processor"])
        found |= {gpu["name"] for gpu in job["machine"]["gpus"]}
    return sorted(found)
