"""One file per process: each wires the stages, sees the Settings and reads the clock."""
