"""What data may name, and what is remembered of what the user named."""

import json
from pathlib import Path

import pytest

from mmsearch.core import registry, trust
from mmsearch.core.config import models_folder, user_file
from mmsearch.core.json_text import MAX_DEPTH, parse_json
from mmsearch.core.trust import Trust
from mmsearch.errors import UnknownName, Untrusted


@pytest.mark.parametrize("name", [*registry.BUILTIN["spaces"]])
def test_a_library_may_name_built_in_code(name: str, tmp_path: Path) -> None:
    target = registry.target_of("spaces", name)
    assert Trust(tmp_path).checked(target) == target


def test_a_library_may_name_an_installed_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "their-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mmsearch.spaces]\ntheirs = their_package:space\n")
    with pytest.raises(Untrusted):
        trust.checked_target("their_package:space")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.known_targets.cache_clear()
    try:
        assert trust.checked_target("their_package:space") == "their_package:space"
        with pytest.raises(Untrusted):
            trust.checked_target("their_package:other")
    finally:
        registry.known_targets.cache_clear()


def test_code_is_trusted_for_the_one_library_the_user_names_it_for(tmp_path: Path) -> None:
    ours, theirs = Trust(tmp_path), Trust(tmp_path)
    ours.name("tests.tiny:space")
    assert ours.checked("tests.tiny:space") == "tests.tiny:space"
    for one, target in ((ours, "tests.tiny:other_weights"), (theirs, "tests.tiny:space")):
        with pytest.raises(Untrusted, match="code that only you may name") as caught:
            one.checked(target)
        assert caught.value.hint is not None and f"MMSEARCH_SPACE={target}" in caught.value.hint
    assert not user_file().with_name(trust.FILE_NAME).exists(), "what is code is not remembered"


def test_a_hint_quotes_names_for_the_shell() -> None:
    for target, quoted in (("a:b; rm -rf ~", "'a:b; rm -rf ~'"), ("a:\x1b[31m", "NAME"), ("a:" + "b" * 300, "NAME")):
        with pytest.raises(Untrusted) as caught:
            trust.checked_target(target)
        assert f"MMSEARCH_SPACE={quoted} before" in (caught.value.hint or "")
        assert "\x1b" not in caught.value.message + (caught.value.hint or "")


def test_model_folders_are_trusted_below_the_models_folder_and_the_library(tmp_path: Path) -> None:
    library, elsewhere = tmp_path / "library", tmp_path / "elsewhere"
    one = Trust(library)
    for family in registry.FOLDERS:
        for folder in (library / "x", models_folder() / "y"):
            assert one.checked(f"{family}:{folder}")
        for path in (elsewhere, library / ".." / "elsewhere", f"{library}2", "x", "", "a\0b"):
            with pytest.raises(Untrusted, match="neither below"):
                one.checked(f"{family}:{path}")
    library.mkdir()
    (library / "link").symlink_to(elsewhere)
    with pytest.raises(Untrusted):
        one.checked(f"local-dir:{library / 'link'}")


def test_a_model_folder_the_user_named_once_stays_trusted(tmp_path: Path) -> None:
    target = f"local-dir:{tmp_path / 'mine'}"
    Trust(tmp_path / "library").name(target)
    assert trust.remembered_names() == [target]
    assert Trust(tmp_path / "another").checked(target) == target
    with pytest.raises(Untrusted):
        trust.checked_target(f"adapter:{tmp_path / 'mine'}")
    Trust(tmp_path).name(target)
    assert json.loads(user_file().with_name(trust.FILE_NAME).read_text()) == [target]


@pytest.mark.parametrize("share", ["//host/share", "\\\\host\\share", "/\\host\\share", "\\\\?\\UNC\\host\\share"])
def test_a_network_share_is_never_trusted(share: str) -> None:
    trust.remember_named([f"local-dir:{share}"])
    with pytest.raises(Untrusted, match="a share of another machine"):
        trust.checked_target(f"local-dir:{share}", Path("/"))


def test_a_damaged_file_of_trusted_names_counts_as_empty(tmp_path: Path) -> None:
    path = user_file().with_name(trust.FILE_NAME)
    path.parent.mkdir(parents=True)
    for text in ("{", "[" * 5000, '{"a": 1}', "\xff", "3"):
        path.write_text(text, "latin-1")
        assert trust.remembered_names() == []
    path.write_text('[1, "local-dir:/x", null]')
    assert trust.remembered_names() == ["local-dir:/x"]


def test_a_connected_space_made_on_this_machine_may_name_code() -> None:
    with pytest.raises(Untrusted):
        trust.connection_member("tests.member_spaces:seen", "0" * 64)
    trust.remember_named([f"sha256:{'0' * 64}"])
    assert trust.connection_member("tests.member_spaces:seen", "0" * 64) == "tests.member_spaces:seen"
    with pytest.raises(Untrusted):
        trust.connection_member("tests.member_spaces:seen", "1" * 64)


@pytest.mark.parametrize("kind", ["decoders", "indexes"])
def test_no_part_but_a_space_may_be_code(kind: str) -> None:
    with pytest.raises(UnknownName):
        registry.load_part(kind, "os:system")


def test_json_that_is_nested_too_deep_is_refused() -> None:
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            with pytest.raises(ValueError, match="nested too deeply"):
                parse_json(opening * depth + ("1" if opening != "[" else "") + closing * depth)
