"""The retrievers of LangChain and LlamaIndex, and the models of `llm`: by their own suites and in their own chains."""

import asyncio
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llm
import llm.plugins
import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_tests.integration_tests import RetrieversIntegrationTests
from llama_index.core.schema import MetadataMode

import mmsearch
from mmsearch.errors import LibraryNotFound
from mmsearch.integrations import llm as plugin
from mmsearch.integrations.langchain import MmsearchRetriever
from mmsearch.integrations.llama_index import MmsearchNodeRetriever
from mmsearch.integrations.passages import moment
from mmsearch.library import Library
from tests.conftest import CHECKOUT
from tests.generated import picture, sound, words
from tests.module_library import ModuleLibrary

pytestmark = [pytest.mark.slow, pytest.mark.extras]


def fill(folder: Path) -> None:
    """Media with a moment, a page and metadata to cite."""
    picture(folder / "red.png", "red")
    picture(folder / "green.png", "green")
    sound(folder / "talk.wav", "low", "high", seconds=6.0)
    words(folder / "notes.txt", "a blue house")
    slides(folder / "slides.pptx", "a red plan", "a blue plan")


def slides(path: Path, *titles: str) -> None:
    import pptx

    made = pptx.Presentation()
    for title in titles:
        made.slides.add_slide(made.slide_layouts[5]).shapes.title.text = title
    made.save(str(path))


@pytest.fixture
def tmp_path(module_library: ModuleLibrary) -> Path:
    return module_library.restored()


@pytest.fixture
def library(open_tiny: Callable[..., Library]) -> Library:
    return open_tiny()


@pytest.mark.anyio
class TestRetrieverContract(RetrieversIntegrationTests):
    """What LangChain asks of every retriever."""

    library: Library

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    def opened(self, library: Library) -> Iterator[None]:
        self.library = library
        yield

    @property
    def retriever_constructor(self) -> type[MmsearchRetriever]:
        return MmsearchRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"library": self.library}

    @property
    def retriever_query_example(self) -> str:
        return "red"


def test_a_chain_cites_the_moment_of_a_recording(library: Library, tmp_path: Path) -> None:
    retriever = MmsearchRetriever(library=library, k=1, modalities=["audio"])

    def cited(documents: list[Document]) -> str:
        return "; ".join(f"{one.page_content} [{one.metadata['path']}]" for one in documents)

    prompt = PromptTemplate.from_template("{question}\n{found}")
    chain = {"found": retriever | cited, "question": RunnablePassthrough()} | prompt | RunnableLambda(lambda p: p.text)
    assert chain.invoke("high") == f"high\ntalk.wav, 0:05-0:10 [{tmp_path / 'media' / 'talk.wav'}]"


def test_documents_have_what_is_to_be_cited(library: Library, tmp_path: Path) -> None:
    library.tag(tmp_path / "media" / "slides.pptx", add=["spring"])
    library.set_meta(tmp_path / "media" / "slides.pptx", {"course": 7})
    (slide,) = MmsearchRetriever(library=library, filter="name = slides.pptx").invoke("blue plan")
    assert slide.page_content == "a blue plan"
    told = slide.metadata
    assert told["path"] == told["source"] == str(tmp_path / "media" / "slides.pptx")
    assert (told["page"], told["place"], told["modality"]) == (2, "slide 2", "text")
    assert (told["tags"], told["meta"], slide.id) == (["spring"], {"course": 7}, str(told["item_id"]))
    assert "start" not in told and told["confidence"] > 0.5


def test_what_is_unlikely_may_be_left_out(library: Library) -> None:
    found = MmsearchRetriever(library=library, min_confidence=0.5, modalities=["image"]).invoke("green")
    assert [Path(one.metadata["path"]).name for one in found] == ["green.png"]


def test_an_error_of_a_retriever_is_ours(open_tiny: Callable[..., Library]) -> None:
    with pytest.raises(LibraryNotFound):
        MmsearchRetriever(library=open_tiny("none")).invoke("red")


def test_nodes_of_llama_index_have_what_is_to_be_cited(library: Library, tmp_path: Path) -> None:
    retriever = MmsearchNodeRetriever(library, 2, modalities=["audio", "text"])
    first, second = retriever.retrieve("high")
    assert Path(first.metadata["path"]).name == "talk.wav" and first.text == "talk.wav, 0:05-0:10"
    assert (first.metadata["start"], first.metadata["end"]) == (5.0, 10.0)
    assert first.score is not None and first.score > 0.5 > (second.score or 0.0)
    read = first.node.get_content(MetadataMode.LLM)
    assert "start: 5.0" in read and "confidence" not in read
    assert [node.node_id for node in asyncio.run(retriever.aretrieve("high"))] == [first.node_id, second.node_id]


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (65, "1:05"), (3723.2, "1:02:03"), (None, "0:00")])
def test_a_moment_is_shown_as_on_a_clock(seconds: float | None, shown: str) -> None:
    assert moment(seconds) == shown


def test_llm_embeds_words_and_media_with_a_space_of_ours(tmp_path: Path) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["llm"] == {"mmsearch": "mmsearch.integrations.llm"}
    llm.plugins.load_plugins()  # type: ignore[no-untyped-call]
    if "mmsearch/starter" not in llm.get_embedding_model_aliases():  # of an older installation
        llm.plugins.pm.register(plugin)
    assert {"mmsearch/starter", "mmsearch/starter-open"} <= set(llm.get_embedding_model_aliases())
    model = llm.get_embedding_model("mmsearch/starter")  # type: ignore[no-untyped-call]
    photo = (Path(mmsearch.__file__).parent / "resources" / "samples" / "photos" / "dog-at-a-laptop.jpg").read_bytes()
    dog, sea, seen = np.array(list(model.embed_multi(["a dog", "the sea", photo])))
    assert np.allclose(np.linalg.norm([dog, sea, seen], axis=1), 1, atol=1e-5)
    assert dog @ seen > sea @ seen + 0.2
    with pytest.raises(llm.ModelError, match="no medium that mmsearch reads"):
        model.embed(b"\x00\x01 no medium")
    model.close()
