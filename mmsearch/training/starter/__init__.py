"""What made the starter space's captions.safetensors."""
