"""Whether the index library works here."""

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from mmsearch.core.registry import known_targets
from mmsearch.errors import InvalidInput
from mmsearch.types import Finding


def findings(device: str) -> Iterator[Finding]:
    """`device`: where the library's setting `index_device` says that vectors are searched."""
    if find_spec("faiss") is None:
        yield Finding("faiss", "error", "not installed", "pip install faiss-cpu (or faiss-gpu), or set index = 'numpy'")
        return
    try:
        import faiss

        index = faiss.IndexFlatIP(4)
        index.add(np.eye(4, dtype=np.float32))
        _, found = index.search(np.eye(4, dtype=np.float32), 1)
    except (ImportError, OSError, RuntimeError) as error:
        yield Finding("faiss", "error", f"doesn't work: {error}", "pip install --force-reinstall faiss-cpu")
        return
    if found.ravel().tolist() != [0, 1, 2, 3]:
        yield Finding("faiss", "error", "gives wrong neighbours", "pip install --force-reinstall faiss-cpu")
        return
    gpus = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    options = faiss.get_compile_options().strip()
    yield Finding(
        "faiss", "ok", f"{faiss.__version__}, {options}, {gpus} GPUs; backends: {', '.join(known_targets('indexes'))}"
    )
    if device == "gpu":
        yield _gpu()


def _gpu() -> Finding:
    from mmsearch.vectors import gpu

    try:
        gpu.find_gpu()
    except InvalidInput as error:
        return Finding("faiss GPU", "error", error.message, error.hint)
    return Finding("faiss GPU", "ok", "searches flat, ivf and ivf-sq8 where no filter counts")
