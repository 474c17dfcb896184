"""Random weights of `make_replica("bert", ...)` in tests/replicas.py: three layers, no heads."""
