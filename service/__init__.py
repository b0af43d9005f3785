"""DICOM land: the life of a Series from C-STORE to a delivered result; no torch anywhere in it."""

__version__ = "0.1.0"
