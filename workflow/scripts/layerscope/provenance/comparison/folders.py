"""Two studies side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerscope.config.statistics import Statistics
from layerscope.core.errors import UserError
from layerscope.core.files import read_json
from layerscope.provenance.comparison import contents
from layerscope.provenance.comparison.changes import Tally, changes, compare_code, tally
from layerscope.provenance.comparison.inner import compare_attention, compare_probes
from layerscope.provenance.comparison.scores import compare_scores
from layerscope.provenance.studies import Study
from layerscope.run_records.content import Record

Comparison = dict[str, Any]


def compare_studies(a: Study, b: Study) -> Comparison:
    """What two studies have in common, what differs, and how the scores changed.

    What only records know (raw data, code, versions) is None where a study has none. Bootstraps
    take the settings of `a`.

    Returns:
        JSON: `a` and `b` (`folder`, `study`, `jobs` with a record, `bad_records`, `commits`,
        `machines`), `settings`, `raw`, `data`, `code`, `versions`, `products`, `statistics`,
        `scores`, `probes`, `attention`.

    Raises:
        UserError: there is no configuration beside the results, or a file is not what it should be.
    """
    config_a, config_b = _configuration(a), _configuration(b)
    jobs_a, jobs_b = contents.own_jobs(a), contents.own_jobs(b)
    made_a, made_b = contents.products(a), contents.products(b)
    settings = _statistics(a, config_a)
    return {
        "a": _described(a, jobs_a),
        "b": _described(b, jobs_b),
        "settings": changes(config_a, config_b),
        **(_of_records(a, b, jobs_a, jobs_b) if jobs_a and jobs_b else _UNKNOWN),
        "data": tally(contents.data_of(made_a), contents.data_of(made_b)),
        "products": _by_kind(made_a, made_b),
        "statistics": settings.model_dump(mode="json"),
        "scores": compare_scores(a.results, b.results, settings),
        "probes": compare_probes(a.results, b.results),
        "attention": compare_attention(a.results, b.results),
    }


_UNKNOWN = dict.fromkeys(("raw", "code", "versions"))


def _of_records(
    a: Study, b: Study, jobs_a: Sequence[Record], jobs_b: Sequence[Record]
) -> dict[str, Any]:
    return {
        "raw": tally(contents.raw_inputs(a, jobs_a), contents.raw_inputs(b, jobs_b)),
        "code": compare_code(contents.code_by_rule(jobs_a), contents.code_by_rule(jobs_b)),
        "versions": changes(contents.versions(jobs_a), contents.versions(jobs_b)),
    }


def _configuration(study: Study) -> dict[str, Any]:
    path = study.results / "config.json"
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds {type(found).__name__}; allowed: the settings of a study")
    return found


def _statistics(study: Study, config: Mapping[str, Any]) -> Statistics:
    try:
        return Statistics.model_validate(config.get("statistics", {}))
    except ValueError:
        raise UserError(
            f"{study.results / 'config.json'}: statistics {config['statistics']}; allowed: "
            "resamples, confidence and seed, as the workflow writes them"
        ) from None


def _described(study: Study, jobs: Sequence[Record]) -> dict[str, Any]:
    return {
        "folder": str(study.results),
        "study": study.name,
        "jobs": len(jobs),
        "bad_records": sum(file.is_relative_to(study.results) for file in study.broken),
        "commits": contents.commits(jobs),
        "machines": contents.machines(jobs),
    }


def _by_kind(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, Tally]:
    def of(kind: str, side: Mapping[str, str]) -> dict[str, str]:
        return {name: digest for name, digest in side.items() if contents.kind_of(name) == kind}

    kinds = sorted({contents.kind_of(name) for name in (*a, *b)})
    return {kind: tally(of(kind, a), of(kind, b)) for kind in kinds}
