"""Models of other makers become packages: data in, closed readers, and a named reason for all that does not fit."""
