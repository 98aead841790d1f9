"""A retriever for LangChain: what a library finds, as documents with their path, page and moment."""

import asyncio
from collections.abc import Collection
from typing import Any

from mmsearch import Library
from mmsearch.integrations.passages import hit_metadata, hit_text
from mmsearch.types import Modality, QueryLike

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from pydantic import ConfigDict
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'mmsearch[langchain]'", name=error.name) from error


class MmsearchRetriever(BaseRetriever):
    """Retrieves from one library, which its owner closes.

    >>> retriever = MmsearchRetriever(library=library, k=4, modalities=["audio"])  # doctest: +SKIP
    >>> for document in retriever.invoke("rain on a roof"):  # doctest: +SKIP
    ...     print(document.page_content, document.metadata["path"], document.metadata["start"])

    Thread safety: as a library's; `ainvoke` searches in a thread.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    library: Library
    k: int = 10
    """Documents at most; `invoke(query, k=3)` says otherwise for once."""
    modalities: Collection[Modality] | None = None
    """Only these kinds of item, as for `Library.search`."""
    filter: str | None = None
    """Only items that match, as for `Library.search`."""
    min_confidence: float = 0.0
    """In [0, 1]: nothing below it is retrieved. 0.5 leaves out what a search calls unlikely."""

    def _get_relevant_documents(
        self, query: QueryLike, *, run_manager: CallbackManagerForRetrieverRun | None = None, **kwargs: Any
    ) -> list[Document]:
        """Documents that answer a query. Raises: as `Library.search`."""
        given = {"k": self.k, "modalities": self.modalities, "filter": self.filter, **kwargs}
        hits = self.library.search(query, **given)
        return [
            Document(hit_text(hit), id=str(hit.item_id), metadata=hit_metadata(self.library, hit))
            for hit in hits
            if hit.confidence is None or hit.confidence >= self.min_confidence
        ]

    async def _aget_relevant_documents(
        self, query: QueryLike, *, run_manager: AsyncCallbackManagerForRetrieverRun | None = None, **kwargs: Any
    ) -> list[Document]:
        return await asyncio.to_thread(self._get_relevant_documents, query, **kwargs)
