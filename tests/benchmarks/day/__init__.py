"""The stages of a day with a GPU; :mod:`tests.benchmarks.gpu_day` puts them in order."""
