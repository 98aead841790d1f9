"""Keeping a library: backup, export, prune, status, doctor, indexes."""
