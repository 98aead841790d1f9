"""What serves of a trained model: its folder, card and files. A search goes no further."""
