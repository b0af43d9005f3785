"""One file per kind of model."""
