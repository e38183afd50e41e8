"""The command line: one file for each command, each a thin adapter over the library."""
