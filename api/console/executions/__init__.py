"""Executions: the list, one of them, its graph, acting on one and on many."""
