"""From which files and with which settings tables and parts of tables are made.

Needs: STUDY, names and folders (common.smk), kind() and model_folder() (inputs.smk).
Gives: inputs and settings of parts and of tables, and inputs and outputs by name as options of programs.
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


def of_variants(stage, variants):
    """Input function: what a stage made of a model's variants on a task."""
    return lambda wildcards: [
        f"{RESULTS}/{stage}/{wildcards.task}/{wildcards.model}/{variant}.parquet"
        for variant in variants
    ]


def finetuned_models(wildcards):
    """Folders of a model's fine-tuned variants on a task."""
    return [
        f"{RESULTS}/finetuned/{wildcards.task}/{wildcards.model}/{variant}"
        for variant in FINETUNED
    ]


def probes_of_model(wildcards):
    """All probes of a model on a task: of every variant."""
    return [
        f"{RESULTS}/probes/{wildcards.task}/{wildcards.model}/{variant}/{probe}.parquet"
        for variant in VARIANTS
        for probe in STUDY.tasks[wildcards.task].probes
    ]


def probe_predictions(wildcards):
    """What they answered, in the same order."""
    return [
        path.replace(".parquet", ".predictions.parquet")
        for path in probes_of_model(wildcards)
    ]


def pointwise_information(wildcards):
    """Bits of test rows, beside the usable information of each variant."""
    files = of_variants("usable_information", VARIANTS)(wildcards)
    return {
        "pointwise": [path.replace(".parquet", ".pointwise.parquet") for path in files]
    }


def compared_predictions(wildcards):
    """Of all models and baselines on the largest fraction, and of models on the smallest."""
    largest = [variant for variant in COMPARED if variant in FINETUNED]
    systems = {model: [*SMALLEST, *largest] for model in MODELS}
    systems |= {name: largest for name in BASELINES_OF_KIND[kind(wildcards)]}
    return [
        f"{RESULTS}/predictions/{wildcards.task}/{system}/{variant}.parquet"
        for system, variants in systems.items()
        for variant in variants
    ]


def entity_data(wildcards):
    """What tells whether a variant has seen an entity; nothing for a task without any."""
    if kind(wildcards) != "ner":
        return {}
    folder = f"{RESULTS}/samples/{wildcards.task}"
    return {
        "test": f"{RESULTS}/data/{wildcards.task}/test.parquet",
        "train": f"{RESULTS}/data/{wildcards.task}/train.parquet",
        "samples": [f"{folder}/{variant}.parquet" for variant in FINETUNED],
    }


def scores_of_all():
    return [
        f"{RESULTS}/scores/{task}/{system}.json"
        for task in TASKS
        for system in [*MODELS, *BASELINES_OF_KIND[STUDY.tasks[task].kind]]
    ]


#: Results that each part of a table is made from.
PART_FILES = {
    "probes": probes_of_model,
    "attention": of_variants("attention", VARIANTS),
    "similarity": of_variants("similarity", VARIANTS),
    "training": finetuned_models,
    "weight_change": finetuned_models,
    "interventions": of_variants("interventions", INTERVENED),
    "patching": of_variants("patching", INTERVENED),
    "head_lens": of_variants("head_lens", LENSED),
    "usable_information": of_variants("usable_information", VARIANTS),
    "error_analysis": of_variants("predictions", FINETUNED),
    "significance": compared_predictions,
}
#: Data that a part of a table reads besides.
PART_DATA = {
    "probes": lambda wildcards: {"predictions": probe_predictions(wildcards)},
    "usable_information": pointwise_information,
    "error_analysis": entity_data,
    "weight_change": lambda wildcards: {"before": model_folder(wildcards)},
}
#: Results that a table is made from as a whole.
TABLE_FILES = {
    "scores": scores_of_all(),
    "pretraining": collect(f"{RESULTS}/pretrained/{{model}}.json", model=MADE),
}
#: Files that a table is made from besides other tables.
TABLE_DATA = {
    "reproduction": {"references": local(STUDY.references) if STUDY.references else []}
}
#: Settings that a table or its parts are computed with.
SETTINGS = {
    "statistics": STATISTICS,
    "association": jobs.association_settings(STUDY),
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


def part_inputs(table):
    """Input function: results that a part of a table is made from, and data by name."""
    data = PART_DATA.get(table.name, lambda wildcards: {})
    of_variants = "model" in table.part.by and table.name != "training"
    training = f"{PARTS}/training/{{task}}/{{model}}.parquet"
    return lambda wildcards: {
        "files": PART_FILES[table.name](wildcards),
        **data(wildcards),
        **({"training": training.format(**wildcards)} if of_variants else {}),
    }


def part_path(table):
    """Path of a part below its table's parts, with wildcards and without a suffix."""
    return os.sep.join(f"{{{name}}}" for name in table.part.by)


def parts_of(table):
    """What a table is joined from, in its order."""
    if table.part is None:  # what `compare_models` makes
        return collect(
            f"{RESULTS}/cross_model_similarity/{{task}}/{{variant}}.parquet",
            task=TASKS,
            variant=COMPARED,
        )
    values = {"task": TASKS, "model": MODELS}
    return collect(
        f"{PARTS}/{table.name}/{part_path(table)}.parquet",
        **{name: values[name] for name in table.part.by},
    )


def table_inputs(table):
    """What a table is computed from by name: published values, and other tables."""
    tables = tables_there([*table.inputs, *table.optional])
    return TABLE_DATA.get(table.name, {}) | tables
