"""Labels for items: zero-shot names, or those of a trained head."""
