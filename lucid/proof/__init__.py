"""Proofs about a function: which axes of its inputs are free, and whether a batch can be computed in parts."""
