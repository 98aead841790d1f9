"""From a path to prepared segments: sniffing, one decoder a modality, and the workers they run in.

Import nothing heavy here: `pool` is imported by the application, the decoders only by its workers.

| module | what |
|---|---|
| pool, events | many files through worker processes, in order; the jobs and what comes back |
| process, worker, protocol | a worker as its parent sees it, the worker itself, and the messages between them |
| sniff, kinds | which decoder a file belongs to |
| text, plaintext, html, pdf, sidecar | documents and their formats |
| image, pixels, exif, panorama, motion | pictures |
| raw, tiff | pictures as a sensor saw them |
| written, captions, xmp, iptc | what people wrote, inside pictures and beside them |
| audio, video, container, timeline | sounds and videos |
| overlay | a heat map drawn over a picture |
| health | whether this machine's decoders work |
"""
