"""Fuzzing: what comes from outside, made up by hypothesis. `python -m tests.fuzz imports --seconds 600`."""
