"""Proves which axes of a function's inputs are free, and whether a batch can be computed in parts."""
