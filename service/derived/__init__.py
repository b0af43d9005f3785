"""Datasets in, dataset out: the DICOM objects this node makes."""
