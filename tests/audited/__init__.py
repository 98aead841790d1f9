"""On the PYTHONPATH of a process that is to be watched, and so of every process it starts (`tests.untrusted`)."""
