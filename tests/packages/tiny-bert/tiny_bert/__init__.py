"""A BERT of three layers with random weights, made by `make_replica` of tests/replicas.py."""
