"""How weights are run: one file per format."""
