"""Perdure and its peers measured side by side: `python -m benchmarks`, `perdure bench`, `make bench`."""
