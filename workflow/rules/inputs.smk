"""Input functions, and params that say what of the configuration is a job's own.

Params name files by `input` and `output`, which have the prefix of a module; Snakemake leaves such params out
when it compares a job with the last run, since it compares inputs themselves.

Needs: STUDY, names and folders (common.smk).
Gives: functions of wildcards, each named for what it gives.
"""


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


def split_table(wildcards):
    """The prepared table with the rows of a split."""
    return f"{RESULTS}/data/{wildcards.task}/{jobs.table_of(wildcards.split)}.parquet"


def reserved(wildcards):
    """Option: how much of the training data is kept from fine-tuning."""
    percent = jobs.reserved(STUDY, wildcards.task)
    return f"--reserved {percent}" if percent else ""


def reserved_of_split(wildcards):
    """Options: the part of the training data that a split's rows are drawn from."""
    part = {"reserved": "reserved", "train": "tuned-on"}.get(wildcards.split)
    option = reserved(wildcards)
    return f"{option} --part {part}" if part and option else ""


def main_probe_rows(wildcards):
    """The first split that no model was fine-tuned on, and its sample: what erasers are fitted to."""
    fresh = [split for split in probe_rows(wildcards) if split != "train"]
    split = fresh[0] if fresh else "validation"
    return {
        "data": f"{RESULTS}/data/{wildcards.task}/{jobs.table_of(split)}.parquet",
        "sample": probe_sample(wildcards.task, split),
    }


def merge_tags(wildcards):
    return "--merge-tags" if jobs.merges_tags(STUDY, wildcards.task) else ""


def model_folder(wildcards):
    """The pre-trained model: made by the workflow, or fetched."""
    return folder_of(wildcards.model)


def variant_folder(wildcards):
    """The model of a variant: fine-tuned, or the pre-trained one, whose shape random weights have."""
    if wildcards.variant not in FINETUNED:
        return model_folder(wildcards)
    return f"{RESULTS}/finetuned/{wildcards.task}/{wildcards.model}/{wildcards.variant}"


def folder_of(model):
    if jobs.is_pretrained_here(STUDY, model):
        return f"{RESULTS}/pretrained/{model}"
    return f"resources/models/{jobs.stored_as(STUDY, model)}"


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
        found = {"model": f"{folder}/{wildcards.variant}"}
        if STUDY.attention:
            other = jobs.ceiling_variant(STUDY, wildcards.variant)
            found["before"] = model
            found["other_seed"] = f"{folder}/{other}" if other else []
        if base := adapter_base(wildcards):
            found["adapter_base"] = base
    splits = probe_rows(wildcards)
    if STUDY.tasks[wildcards.task].probe_test_limit:
        found["test_sample"] = probe_sample(wildcards.task, "test")
    return found | {
        "data": [
            f"{RESULTS}/data/{wildcards.task}/{jobs.table_of(split)}.parquet"
            for split in splits
        ],
        "samples": [probe_sample(wildcards.task, split) for split in splits],
        "test": f"{RESULTS}/data/{wildcards.task}/test.parquet",
    }


def test_sample_option(wildcards, input):
    """Which rows of the test data have activations; without it all."""
    return f"--test-sample {input.test_sample}" if input.get("test_sample") else ""


def prediction_options(wildcards):
    """Options for a fine-tuned model, whose predictions are made too; none for others."""
    if wildcards.variant not in FINETUNED:
        return ""
    limit = jobs.prediction_limit(STUDY, wildcards.task, wildcards.model)
    return f"--max-length {limit} {merge_tags(wildcards)}"


def prediction_files(wildcards, input, output):
    """Where such a model's predictions go."""
    if wildcards.variant not in FINETUNED:
        return ""
    return f"--out-predictions {output.predictions}"


def attention_files(wildcards, input, output):
    """What a variant's attention is compared with, and where it goes; nothing if it is not."""
    if not STUDY.attention:
        return ""
    compared = {"--before": "before", "--other-seed": "other_seed"}
    options = [
        f"{option} {input[name]}"
        for option, name in compared.items()
        if input.get(name)
    ]
    return " ".join([f"--out-attention {output.attention}", *options])


def ranking(wildcards):
    """The attention of a fine-tuned model, whose change ranks its heads; none if it is not compared."""
    if not STUDY.attention:
        return []
    return f"{RESULTS}/attention/{wildcards.task}/{wildcards.model}/{wildcards.variant}.parquet"


def ranking_option(wildcards, input):
    return f"--attention {input.attention}" if input.attention else ""


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
