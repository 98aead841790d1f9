"""On the PYTHONPATH of a process that may not use the network, and so of every process it starts."""
