"""What programs that make tables are told: settings, and inputs and outputs by name, as options.

Needs: STUDY and STATISTICS (common.smk).
Gives: settings_of(), named_inputs() and named_tables(), params of tables and pages.
"""

import shlex


def named(option, paths):
    """Paths as an option of a program: NAME=PATH, each name as often as it has paths."""
    pairs = [
        shlex.quote(f"{name}={path}")
        for name, found in paths.items()
        for path in ([found] if isinstance(found, str) else found)
    ]
    return " ".join([option, *pairs]) if pairs else ""


def named_inputs(option, *others):
    """Param: inputs by name as an option of a program, without those that the shell command names."""
    return lambda wildcards, input: named(
        option,
        {name: paths for name, paths in input.items() if name not in others},
    )


def named_tables(wildcards, output):
    """Param: tables that a program makes, by name."""
    return named(
        "--out",
        {Path(path).stem: path for path in output if path.endswith(".parquet")},
    )


#: Settings that a table or its parts are computed with.
SETTINGS = {
    "statistics": STATISTICS,
    "equivalence": jobs.equivalence_settings(STUDY),
    "association": relations.association_settings(STUDY),
    "adapters": relations.adapter_settings(STUDY),
    "variance": relations.variance_settings(STUDY),
    "models": canonical_json(
        {
            name: {"architecture": model.architecture, "domain": model.domain}
            for name, model in STUDY.models.items()
        }
    ),
}


def settings_of(entry):
    """Settings of a table or a part, as an option of its program."""
    return (
        f"--settings {shlex.quote(SETTINGS[entry.settings])}" if entry.settings else ""
    )
