"""Scoring: a model over files of rows, in one process or many."""
