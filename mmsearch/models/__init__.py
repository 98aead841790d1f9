"""Models: which there are, getting one, and switching a library to another."""
