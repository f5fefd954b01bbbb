"""Weights of CLIP models in the files that others write, read without a framework."""
