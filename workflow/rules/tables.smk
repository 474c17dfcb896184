"""Tables in long form, each as Parquet and CSV: what the figures draw, and nothing else.

Each is an entry of the catalogue (layerscope.catalogue). Large tables are put together from parts, one
for each task and model, which are kept: a change of one model makes one part again, and no job reads the
files of all models. Paired tests have a part for each task, which reads the predictions of all its models.
Needs: scores, probes, attention, similarity, interventions, predictions, evaluations of pre-training; published
    values, if the study names any.
Gives: results/{study}/parts/{table}/{task}/{model}.parquet, results/{study}/parts/{table}/{task}.parquet,
    results/{study}/tables/{table}.{parquet,csv}.
"""

for _table in [table for table in catalogue.TABLES if table.part]:
    _rule = f"part_{_table.name}"
    _place = part_path(_table)

    rule:
        name:
            _rule
        input:
            unpack(part_inputs(_table)),
        output:
            f"{PARTS}/{_table.name}/{_place}.parquet",
        log:
            f"{LOGS}/{_rule}/{_place}.log",
        benchmark:
            f"{TIMES}/{_rule}/{_place}.tsv"
        group:
            grouped(_rule)
        conda:
            "../../envs/plot.yaml"
        resources:
            **needed(_rule),
        params:
            **job(_rule, "make_table", _table.part.module),
            module=_table.part.module,
            data=named_inputs("--inputs", "files", "predictions"),
            settings=fixed(settings_of(_table.part)),
            table=_table.name,
        shell:
            "python {params.program:q} {params.module} {input.files} {params.data} {params.settings}"
            " --out {params.table}={output}"
            " --record {params.record} > {log} 2>&1"

    describe(_rule, _table.part.about)


for _table in [table for table in catalogue.TABLES if not table.module]:

    rule:
        name:
            _table.rule
        input:
            parts_of(_table),
        output:
            table=f"{TABLES}/{_table.name}.parquet",
            csv=f"{TABLES}/{_table.name}.csv",
        log:
            f"{LOGS}/{_table.rule}.log",
        benchmark:
            f"{TIMES}/{_table.rule}.tsv"
        group:
            grouped(_table.rule)
        conda:
            "../../envs/plot.yaml"
        resources:
            **needed(_table.rule),
        params:
            **job(_table.rule, "join_tables"),
            kind=f"{_table.name}-table",
        shell:
            "python {params.program:q} --kind {params.kind} --parts {input} --out {output.table}"
            " --record {params.record} > {log} 2>&1"

    describe(_table.rule, _table.about)


for _table in [table for table in catalogue.TABLES if table.module]:

    rule:
        name:
            _table.rule
        input:
            **table_inputs(_table),
            files=TABLE_FILES.get(_table.name, []),
        output:
            [
                f"{TABLES}/{name}.{ending}"
                for name in _table.names
                for ending in ("parquet", "csv")
            ],
        log:
            f"{LOGS}/{_table.rule}.log",
        benchmark:
            f"{TIMES}/{_table.rule}.tsv"
        group:
            grouped(_table.rule)
        conda:
            "../../envs/plot.yaml"
        resources:
            **needed(_table.rule),
        params:
            **job(_table.rule, "make_table", _table.module),
            module=_table.module,
            inputs=named_inputs("--inputs", "files"),
            settings=fixed(settings_of(_table)),
            out=named_tables,
        shell:
            "python {params.program:q} {params.module} {input.files} {params.inputs} {params.settings}"
            " {params.out} --csv"
            " --record {params.record} > {log} 2>&1"

    describe(_table.rule, _table.about)
