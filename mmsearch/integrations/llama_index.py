"""A retriever for LlamaIndex: what a library finds, as nodes with their path, page and moment."""

import asyncio
from collections.abc import Collection

from mmsearch import Hit, Library
from mmsearch.integrations.passages import hit_metadata, hit_text
from mmsearch.types import Modality

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'mmsearch[llama-index]'", name=error.name) from error

SCORES = ("confidence", "cosine", "keyword_score", "level", "item_id")
"""What a model that reads a node has no use for."""


class MmsearchNodeRetriever(BaseRetriever):
    """Retrieves from one library, which its owner closes. A node's score is the confidence of its hit, in [0, 1].

    Args:
        k: Nodes at most.
        modalities, filter: Only such items, as for `Library.search`.

    >>> retriever = MmsearchNodeRetriever(library, k=4)  # doctest: +SKIP
    >>> retriever.retrieve("rain on a roof")[0].metadata["start"]  # doctest: +SKIP
    """

    def __init__(
        self,
        library: Library,
        k: int = 10,
        *,
        modalities: Collection[Modality] | None = None,
        filter: str | None = None,
    ) -> None:
        super().__init__()
        self._library = library
        self._k = k
        self._modalities = modalities
        self._filter = filter

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Nodes that answer a query. Raises: as `Library.search`."""
        query = query_bundle.query_str
        hits = self._library.search(query, self._k, modalities=self._modalities, filter=self._filter)
        return [NodeWithScore(node=self._node(hit), score=hit.confidence) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _node(self, hit: Hit) -> TextNode:
        facts, unread = hit_metadata(self._library, hit), [*SCORES, "source"]
        return TextNode(
            id_=f"{hit.item_id}-{hit.segment_id}", text=hit_text(hit), metadata=facts,
            excluded_llm_metadata_keys=unread, excluded_embed_metadata_keys=list(facts),
        )  # fmt: skip
