"""Libraries, backups and settings of somebody else: each names a canary of its own, a module that can be imported, a
command, a file or an address. `python -m tests.untrusted FOLDER` opens them all, watched by `tests.audited`.

It prints, for each case and what was done with it, "ok" or the class and the message of an error of ours; anything
else is a traceback.
"""

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import mmsearch
from mmsearch.encoders import connection
from mmsearch.errors import MmsearchError
from mmsearch.library import Library
from tests.generated import picture, words

Spoil = Callable[[Path], None]
"""Makes a library's folder a stranger's."""

PAYLOAD = "import os; open(os.environ['AUDIT_LOG'], 'a').write('canary module ran\\n')\ndef space(*a): return eval\n"


def target(name: str) -> Spoil:
    """The recorded space is this."""

    def spoil(library: Path) -> None:
        with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
            db.execute("UPDATE spaces SET target = ?", (name,))

    return spoil


def written(text: str | bytes, *then: Spoil) -> Spoil:
    """The library's own settings are these."""

    def spoil(library: Path) -> None:
        (library / "mmsearch.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        for one in then:
            one(library)

    return spoil


def folder_within(files: dict[str, str], name: str = "local-dir") -> Spoil:
    """A model that lies in the library, so that it is looked at."""

    def spoil(library: Path) -> None:
        made = library / "weights"
        made.mkdir()
        for file, content in files.items():
            (made / file).write_text(content)
        target(f"{name}:{made}")(library)

    return spoil


def linked(library: Path) -> None:
    """A folder below one within, which is a link to where the canary's lies."""
    (library / "inside").symlink_to(library.parent.parent)
    target(f"local-dir:{library / 'inside' / 'canary-folder'}")(library)


def joined(*members: str, name: str = "stranger") -> Spoil:
    """The space is a connection that lies in the models folder, of these two."""

    def spoil(library: Path) -> None:
        import numpy as np

        one = connection.ConnectionMap(*(np.zeros(shape, np.float32) for shape in ((8, 4), (4,), (4, 4), (4,))))
        place = connection.connection_folder(name)
        place.mkdir(parents=True, exist_ok=True)
        (place / connection.FILE).write_bytes(
            connection.dump_connection((members[0], members[1]), ("a", "b"), (one, one))
        )
        target(f"connected:{name}")(library)

    return spoil


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def libraries(place: Path) -> dict[str, Spoil]:
    """Case -> what is wrong with it. `NN` in a name stands for the case's number."""
    timm = {"embed_dim": 8, "vision_cfg": {"timm_model_name": "HF-Hub:canaryNN/x"}, "text_cfg": {}}
    pre: dict[str, Any] = {"mean": [0, 0, 0], "std": [1, 1, 1]}
    remote = {"auto_map": {"AutoConfig": "canaryNN--x"}, "model_type": "clap"}
    lora = {"peft_type": "LORA", "revision": "x", "lora_alpha": 1, "r": 1}
    targets = [
        "canaryNN:space", "canaryNN:space.real", "canaryNN", "canaryNN:", "canary.canaryNN:space", "antigravity:fly",
        "cProfile:run", "os:system", "builtins:eval", "subprocess:call", "mmsearch.canaryNN:space", "tests.tiny:space",
        "tests.tiny:other_weights", ":", "", "starter", "Local-Dir:/canaryNN", "canaryNN:" + "x" * 100_000,
        f"local-dir:{place / 'canary-folder'}", "local-dir://canaryNN.example/share", "local-dir:\\\\canaryNN\\share",
        "local-dir:/\\canaryNN\\share", "local-dir:canaryNN", f"local-dir:{place}/libraries/../canary-folder",
        f"adapter:{place / 'canary-folder'}", "adapter://canaryNN.example/share", "connected:../canaryNN",
        "connected:nobody", "hf-hub:../../canaryNN", "open_clip:../canaryNN",
    ]  # fmt: skip
    return {
        **{f"target {one[:60]}": target(one) for one in targets},
        "a link that leads out": linked,
        "timm by an address": folder_within(
            {"open_clip_config.json": json.dumps({"model_cfg": timm, "preprocess_cfg": pre})}
        ),
        "code in a config": folder_within({"config.json": json.dumps(remote)}),
        "a deep config": folder_within({"config.json": '{"a": ' + deep(5000) + "}"}),
        "a deep config of open_clip": folder_within({"open_clip_config.json": deep(900)}),
        "an adapter of elsewhere": folder_within(
            {
                "adapter_config.json": json.dumps(
                    {**lora, "base_model_name_or_path": f"local-dir:{place / 'canary-folder'}"}
                )
            },
            "adapter",
        ),
        "an adapter of code": folder_within(
            {"adapter_config.json": json.dumps({**lora, "base_model_name_or_path": "canaryNN:space"})}, "adapter"
        ),
        "connected code": joined("canaryNN:space", "starter"),
        "connected to a share": joined("starter", "local-dir://canaryNN.example/share"),
        "connected to itself": joined("connected:itself", "mmsearch.encoders.starter:space", name="itself"),
        "space in its settings": written('space = "canaryNN:space"\n', lambda path: (path / "catalog.sqlite").unlink()),
        "index in its settings": written('index = "canaryNN:space"\n'),
    }


def cut(library: Path) -> None:
    path = library / "catalog.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


def replaced(library: Path) -> None:
    (library / "catalog.sqlite").write_text("import canary_file\n" * 100)


def triggered(library: Path) -> None:
    """Whoever writes a commit gives the library a space that is code."""
    with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
        db.execute(
            "CREATE TRIGGER stranger AFTER INSERT ON commits BEGIN UPDATE spaces SET target = 'canary50:space'; END"
        )


BACKUPS: dict[str, Spoil] = {"a trigger": triggered, "cut short": cut, "no catalog": replaced}

SETTINGS: dict[str, str | bytes] = {
    **{
        line: line
        for line in (
            "decode_s = inf", "duration_s = nan", "commit_s = inf", "commit_s = nan", "commit_s = -1", "recall = nan",
            "recall = 1e400", "false_accepts = 1", "commit_segments = 1e400", f"commit_segments = {10**23}",
            "commit_segments = true", "commit_segments = '5'", "commit_segments = 2.5", "commit_segments = 1979-05-27",
            "recall = 'canaryNN'", "index = 5", "index = 'canaryNN:Index'", "index = 'os:system'", "space = ''",
            "space = 'canaryNN:space'", "space = 'local-dir://canaryNN.example/x'", "dedup = 1", "storage = 'int8'",
            "fusion = 'learned:../../canaryNN'", "fusion_weights = 'image=inf'", "similarity = 'image=2'",
            "nonsense = 1",
            "device = \"__import__('os').system('touch canaryNN')\"", "models = '//canaryNN.example/share'",
            "workers = 100000", f"dedup = {{{'a.' * 200}a = 1}}", f"pixels = {'9' * 480}",
        )
    },
    "deep": f"x = {deep(200)}",
    "5,000 deep": "x = " + "[\n" * 5000,
    "wide": f"{'a.' * 240}a = 1\n" * 60,
    "large": b"# " + b"x" * 2**16,
    "no text": b"\xff\xfe\x00",
    "no TOML": "dedup = on",
}  # fmt: skip


def search(library: Library) -> int:
    return len(library.search("red"))


def opened(library: Path) -> Iterator[tuple[str, Callable[[Library], object]]]:
    """What is done with each."""
    media = library.parent.parent / "media"
    yield "search", search
    yield "ingest", lambda one: one.ingest(media).unchanged
    yield "export", lambda one: one.export(library.parent / f"{library.name}.export").items


def said(work: Callable[[], object]) -> str:
    try:
        return f"ok {work()}"
    except MmsearchError as error:
        return f"{type(error).__name__}: {error.message} -> {error.hint}"


def numbered(spoil: Spoil, library: Path, number: int) -> None:
    """Spoil it, and give its canary the case's number, wherever that is named."""
    spoil(library)
    mark = f"{number:02d}"
    for file in [*library.rglob("*.json"), *library.rglob("*.toml")]:
        file.write_bytes(file.read_bytes().replace(b"canaryNN", f"canary{mark}".encode()))
    if (library / "catalog.sqlite").exists() and spoil not in (cut, replaced):
        with closing(sqlite3.connect(library / "catalog.sqlite")) as db, db:
            db.execute("UPDATE spaces SET target = replace(target, 'canaryNN', ?)", (f"canary{mark}",))


def every(place: Path) -> Iterator[tuple[str, str, str]]:
    """(case, what was done, what came of it)"""
    base, turn = place / "base", 0
    made = place / "libraries"
    made.mkdir()
    for turn, (name, spoil) in enumerate(libraries(place).items()):
        library = made / f"{turn:02d}"
        shutil.copytree(base, library)
        numbered(spoil, library, turn)
        for done, work in opened(library):
            if done != "search" and name.startswith("target") and turn % 5:
                continue  # they are refused at the same gate
            yield f"library: {name}", done, said(partial(_used, library, work))
    backups = place / "backups"
    backups.mkdir()
    for turn, (name, spoil) in enumerate([*list(libraries(place).items())[:24], *BACKUPS.items()]):
        source = backups / f"{turn:02d}.source"
        shutil.copytree(base, source)
        numbered(spoil, source, turn)
        (source / "catalog.sqlite").rename(backups / f"{turn:02d}.backup")
        yield f"backup: {name}", "restore", said(partial(_restored, backups, turn))
    toml = place / "toml"
    toml.mkdir()
    for turn, (name, text) in enumerate(SETTINGS.items()):
        library = toml / f"{turn:02d}"
        shutil.copytree(base, library)
        numbered(written(text), library, turn)
        chosen = {} if name.startswith("space") else {"space": "tests.tiny:space"}
        yield (
            f"toml: {name[:40]}",
            "search",
            said(partial(_used, library, search, **chosen)),
        )


def _used(library: Path, work: Callable[[Library], object], **chosen: Any) -> object:
    with mmsearch.open(library, **chosen) as one:
        return work(one)


def _restored(backups: Path, turn: int) -> object:
    with mmsearch.open(backups / f"{turn:02d}") as one:
        one.restore(backups / f"{turn:02d}.backup")
        return search(one)


def main(place: Path) -> None:
    """Make the library that all are copies of, then open them all; then what was named by its user, as a proof that
    a canary would have been noticed, in the decode worker too."""
    media = place / "media"
    media.mkdir()
    picture(media / "red.png", "red")
    words(media / "note.txt", "a red thing " * 10)
    with mmsearch.open(place / "base", space="tests.tiny:space", workers=1) as base:
        base.ingest(media)
    told = list(every(place))
    log = Path(os.environ["AUDIT_LOG"])
    before = log.read_text()
    proof = place / "proof"
    with mmsearch.open(proof, space="canary_named:space", workers=1) as named:
        told.append(("proof", "ingest", said(lambda: named.ingest(media).new)))
    print(json.dumps({"told": told, "before": before, "after": log.read_text()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
