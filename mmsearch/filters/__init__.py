"""Filters: their syntax tree, and the parser of what people write."""
