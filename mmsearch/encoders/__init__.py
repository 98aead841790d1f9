"""Segments -> vectors. The one owner of torch, torchaudio and timm, inside the methods that need them."""
