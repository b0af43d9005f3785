"""Decisions without I/O: values in, values out; no path, no socket, no clock."""
