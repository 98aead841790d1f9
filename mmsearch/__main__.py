"""The command: `mmsearch` on the PATH, and `python -m mmsearch` for where it is not.

A query is answered by a warm process of its library, if there is one: in less time than loading the command takes.
"""

import os
import sys


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["query"]:
        from mmsearch.warm.client import answer

        code = answer(arguments)
        if code is not None:
            # Nothing is open, and to end an interpreter takes as long as to ask.
            os._exit(code)
    from mmsearch.core.collector import begin_loading, end_process

    begin_loading()
    from mmsearch.cli import main as run

    try:
        run()
    finally:
        if arguments[:1] == ["query"]:
            from mmsearch.cli.keeping import keep_warm

            keep_warm()
        end_process()


if __name__ == "__main__":
    main()
