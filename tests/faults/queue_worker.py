"""A worker whose encoder costs nothing: `python -m tests.faults.queue_worker ADDRESS`.

It prints what it was told is committed: the generation, then the numbers of its files.
"""

import os
import secrets
import sys
from contextlib import closing

from mmsearch.catalog import Batch, Catalog, NewContent, Placement
from mmsearch.catalog.jobs import Claim, claim_jobs
from mmsearch.core.paths import default_library
from mmsearch.types import Span
from tests import tiny

LEASE_S = 2.0


def main(address: str) -> None:
    with closing(Catalog.open(default_library(address), "1")) as catalog:
        token = secrets.randbits(62)
        while claimed := catalog.write_beside_others(claim_jobs, token, 4, LEASE_S):
            batch = Batch()
            for one in claimed:
                # Every second file holds what the one before it holds.
                sha256 = f"{int(os.path.basename(one.file.path)) // 2:064x}"
                vector = tiny.axis("red").reshape(1, -1)
                if all(known.sha256 != sha256 for known in batch.contents):
                    batch.contents.append(NewContent(sha256, "text", {}, ["text"], [Span(text=sha256[-4:])], vector))
                batch.placements.append(Placement(one.file.path, b"/r", sha256, 1, 1))
            generation = catalog.commit_claimed(batch, 1, Claim(token, tuple(one.id for one in claimed), LEASE_S))
            print(generation, *(one.id for one in claimed), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
