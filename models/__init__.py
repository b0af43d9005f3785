"""Array land: volumes in, findings out; no DICOM anywhere in it."""
