"""An audit hook in this process, from its first moment on, that refuses every socket and writes down who wanted one."""

import os
import sys
import traceback

WANTED = ("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
          "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")  # fmt: skip


def _refuse(event: str, given: tuple[object, ...]) -> None:
    if event in WANTED:
        with open(os.environ["OFFLINE_LOG"], "a", encoding="utf-8") as log:
            log.write(f"{event} {given[1:]!r}\n{''.join(traceback.format_stack(limit=6))}")
        raise PermissionError(f"no network here: {event}")


if "OFFLINE_LOG" in os.environ:
    with open(os.environ["OFFLINE_LOG"], "a", encoding="utf-8") as begun:
        begun.write("watched\n")
    sys.addaudithook(_refuse)
