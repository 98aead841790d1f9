"""The catalog's lists of vectors as indexes, kept in step with it."""
