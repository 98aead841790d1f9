"""Names from elsewhere are answered with ours; kinds may be called as people call them."""

import pytest

from mmsearch.cli import cli
from mmsearch.cli.help_examples import commands
from mmsearch.cli.wrong_names import COMMANDS, OPTIONS
from tests.conftest import Run


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["search", "a", "dog"], "No such command 'search'. Use mmsearch query."),
        (["add", "folder"], "No such command 'add'. Use mmsearch ingest."),
        (["query", "dog", "--limit", "3"], "No such option '--limit'. Use -k."),
        (["query", "dog", "-n", "3"], "No such option '-n'. Use -k."),
        (["query", "dog", "-n3"], "No such option '-n'. Use -k."),
        (["ingest", "--type", "image", "."], "No such option '--type'. Use --in."),
        (["index", "build", "--limit", "3"], "No such option '--limit'."),
        (["query", "dog", "-barking"], "-barking is no option. To leave barking out: dog - barking, or 'dog -barking'"),
        (["query", "dog", "-hound"], "-hound is no option."),
        (["query", "dog", "--in", "foto"], "there is no kind 'foto'; the kinds are audio, image, text, video"),
        (["query", "dog", "--in", ","], "no kind is named"),
        (["query", "dog", "-0"], "-0 goes with --paths, and says nothing alone"),
        (["--log-level", "debug", "status"], "--log-level goes with --log-file, and says nothing alone"),
    ],
)
def test_a_wrong_name_is_bad_usage_and_the_right_one_is_said(run: Run, typed: list[str], message: str) -> None:
    done = run(*typed)
    assert done.returncode == 2 and done.stdout == b""
    assert message in done.stderr.decode()


def test_every_right_name_is_one() -> None:
    assert set(COMMANDS.values()) <= cli.commands.keys()
    known = {name for _, command in commands(cli) for one in command.params for name in one.opts}
    assert OPTIONS.keys() <= known


def test_kinds_have_the_names_that_people_give_them(run: Run) -> None:
    from mmsearch.cli.query import query

    def kinds(*given: str) -> tuple[str, ...]:
        words = [word for one in given for word in ("--in", one)]
        made: tuple[str, ...] = query.make_context("query", ["dog", *words], **cli.context_settings).params[
            "modalities"
        ]
        return made

    assert kinds("photos", "Sounds,films", "image") == ("image", "audio", "video")
    assert kinds("notes, documents") == ("text",)
    assert query.make_context("query", ["dog"], **cli.context_settings).params["modalities"] is None
