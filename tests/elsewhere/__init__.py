"""On the PYTHONPATH of a process that shall find a Python as on another system, and so of every process it starts."""
