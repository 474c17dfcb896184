"""What a study gives as a whole.

Needs: STUDY, names and folders (common.smk).
Gives: all_targets(), for `all`; tables_there(), for pages; study_targets(), a param of `crate` and `pack`.
"""

from layerscope.config.targets import targets


def all_targets():
    return {
        name: [f"{RESULTS}/{path}" for path in paths]
        for name, paths in targets(STUDY).items()
    }


def tables_there(names):
    """Paths by name of those of the tables that the study has."""
    there = catalogue.table_names(ANALYSES)
    return {name: f"{TABLES}/{name}.parquet" for name in names if name in there}


def study_targets(wildcards):
    """Param: what the study gives, as JSON, quoted."""
    return argument(canonical_json([str(path) for path in rules.all.input]))
