"""Vectors under ids, searched by cosine, and the file they are published in.

What the rest of the house needs:

    create_index(backend, dim)         an empty index; backends: "faiss", "numpy"
    index.add / remove / search / ids  see `mmsearch.types.VectorIndex`
    publish_index(index, path, stamp)  write the whole index in one atomic rename
    read_index(path, stamp, dim)       read it back, verified; IndexDamaged if in any doubt
    publish_sealed, read_sealed        the same of an ANN index, encrypted
    presets                            the kinds of index to choose from
    ann.build_ann(...)                 an ANN index over many vectors, for layered.LayeredIndex
    quarantine(path)                   move a damaged file aside before a rebuild
    ReadWriteLock()                    for who keeps several indexes in step

Exact indexes' answers depend on the vectors alone, bit for bit: not on the backend, the order of adding, a rebuild or
the other queries of a call. An ANN index may miss neighbours; the scores of those it finds are the same bits.
Importing this package loads no faiss; `create_index` and `read_index` do, for that backend, as do `ann` and `layered`.
"""

from mmsearch.vectors.file import (
    Stamp,
    check_file,
    check_sealed,
    create_index,
    publish_index,
    publish_sealed,
    quarantine,
    read_index,
    read_index_as,
    read_sealed,
    remove_file,
)
from mmsearch.vectors.lock import ReadWriteLock

__all__ = [
    "ReadWriteLock",
    "Stamp",
    "check_file",
    "check_sealed",
    "create_index",
    "publish_index",
    "publish_sealed",
    "quarantine",
    "read_index",
    "read_index_as",
    "read_sealed",
    "remove_file",
]
