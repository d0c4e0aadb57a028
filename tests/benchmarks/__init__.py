"""Measurements that take minutes and a quiet machine: ``python -m tests.benchmarks.train_speed``."""
