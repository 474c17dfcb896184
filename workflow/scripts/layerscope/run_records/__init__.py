"""Run records: what each job did, left beside its outputs.

Records watch and change no result, so this package is no part of a program's code digest
(`layerscope.core.code.OBSERVERS`): an edit here reruns nothing.
"""
