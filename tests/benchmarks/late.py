"""What late interaction would cost: a vector for each token of a page beside one or two for the page.

    python -m tests.benchmarks.late [--pages 50]

A small Qwen3-VL with random weights, as ColPali's kind of encoder (`MultiVectorEncoder`), tells how many vectors a page
has at the 768 tokens that such models are published with. So many of 128 numbers, and what EmbeddingGemma 2 has of a
page (a picture and two passages of 768), are committed to catalogs of ours and published as lists.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.core.version import VERSION
from mmsearch.indexing.lists import Lists
from mmsearch.types import Span
from tests import sentence

PAGE = (1100, 850, 3)
TOKENS = 768
WIDE, NARROW = 768, 128


def vectors_of_a_page() -> int:
    from PIL import Image
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules.normalize import Normalize
    from sentence_transformers.base.modules.transformer import Transformer

    model, processor = sentence.qwen()
    processor.image_processor.size = {"shortest_edge": 32 * 32, "longest_edge": TOKENS * 32 * 32}
    with tempfile.TemporaryDirectory() as place:
        model.eval().save_pretrained(place)
        processor.save_pretrained(place)
        encoder = MultiVectorEncoder(modules=[Transformer(place), Normalize()], device="cpu")
        page = np.random.default_rng(0).integers(0, 256, PAGE, np.uint8)
        return len(encoder.encode([Image.fromarray(page)])[0])


def stored(pages: int, each: int, dim: int) -> tuple[float, float, float]:
    """(bytes of the catalog a page, bytes of the lists a page, seconds to commit and publish a page)."""
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        catalog = Catalog.open(folder, VERSION, create=True)
        record = catalog.add_space("late", "tests.tiny:space", dim, "f" * 64)
        start = perf_counter()
        batch = Batch()
        for number in range(pages):
            rows = random.normal(size=(each, dim)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            spans = [Span(page=1)] * each
            batch.contents.append(NewContent(f"{number:064x}", "text", {}, ["image"] * each, spans, rows))
            batch.placements.append(Placement(f"/pages/{number}.pdf".encode(), b"/pages", f"{number:064x}", 1, 1))
        catalog.commit(batch, record.id)
        lists = Lists(catalog, folder / "indexes", record, "flat", None)
        lists.publish()
        seconds = perf_counter() - start
        lists.close()
        catalog.close()
        size = sum(path.stat().st_size for path in folder.glob("catalog.sqlite*"))
        indexes = sum(path.stat().st_size for path in (folder / "indexes").rglob("*") if path.is_file())
        return size / pages, indexes / pages, seconds / pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=50)
    chosen = parser.parse_args()
    late = vectors_of_a_page()
    print("| a page as | vectors | catalog | lists | ms to store |\n|---|---|---|---|---|")
    for called, each, dim in (("one vector and two passages", 3, WIDE), ("late interaction", late, NARROW)):
        size, index, seconds = stored(chosen.pages, each, dim)
        print(f"| {called} | {each} x {dim} | {size / 1e3:.0f} kB | {index / 1e3:.0f} kB | {1e3 * seconds:.1f} |")


if __name__ == "__main__":
    main()
