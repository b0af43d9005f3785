"""Synthetic anatomy with exact truth: for the demonstration, for tests, for pre-training."""

from models.phantom.abdomen import Phantom, abdomen

__all__ = ["Phantom", "abdomen"]
