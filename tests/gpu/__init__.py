"""What only a GPU can show: `python -m tests.gpu` on a machine that has one, from the working tree alone."""
