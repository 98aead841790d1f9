"""From a path to prepared segments: sniffing, one decoder a modality, and the workers they run in.

Import nothing heavy here: `pool` is imported by the application, the decoders only by its workers.
"""
