"""Files that have a system run a command of ours for its user: units of systemd, agents of launchd."""

import os
import plistlib
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmsearch.core.key_stores import SECRET_ENV
from mmsearch.errors import InvalidInput

PASSED_ON = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE")
"""Variables that a service gets beside those that begin with MMSEARCH_."""

_NOT_PASSED_ON = {"MMSEARCH_LIBRARY", "MMSEARCH_WARM", *SECRET_ENV}


@dataclass(frozen=True, slots=True)
class SystemService:
    """A service of this user on one kind of system."""

    path: Path
    """Of the file that says what to run."""
    content: Callable[[Sequence[str]], bytes]
    """What is in it, of the arguments of `mmsearch`."""
    start: tuple[str, ...]
    """Commands that start it, now and later."""
    stop: tuple[str, ...]


def service_of(name: str, system: str = sys.platform) -> SystemService:
    """The service of a name, on a system as `sys.platform` tells it.

    Raises: InvalidInput for a name that can't be a file's, and for other systems than Linux and macOS.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", name):
        raise InvalidInput(f"{name!r} can't be a service's name", hint="letters, digits, - and _")
    if system == "darwin":
        label = f"mmsearch.{name}"
        path = Path.home() / "Library" / "LaunchAgents" / f"{label}.plist"
        log = Path.home() / "Library" / "Logs" / f"{label}.log"
        return SystemService(
            path,
            lambda arguments: _agent(label, arguments, log),
            (f"launchctl bootstrap gui/$(id -u) {shlex.quote(str(path))}",),
            (f"launchctl bootout gui/$(id -u)/{label}",),
        )
    if system == "linux":
        unit = f"mmsearch-{name}.service"
        settings = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        return SystemService(
            Path(settings) / "systemd" / "user" / unit,
            lambda arguments: _unit(name, arguments).encode(),
            ("systemctl --user daemon-reload", f"systemctl --user enable --now {unit}"),
            (f"systemctl --user disable --now {unit}", "systemctl --user daemon-reload"),
        )
    raise InvalidInput(
        "this system has neither systemd nor launchd",
        hint="have `mmsearch watch FOLDER` run when you log in, such as by Windows' Task Scheduler",
    )


def service_files() -> Path:
    """Where the files of all services are, as a pattern."""
    path = service_of("NAME", "darwin" if sys.platform == "darwin" else "linux").path
    return path.with_name(path.name.replace("NAME", "*"))


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "mmsearch", *arguments]


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if (name.startswith("MMSEARCH_") or name in PASSED_ON) and name not in _NOT_PASSED_ON
    }


def _unit(name: str, arguments: Sequence[str]) -> str:
    lines = [
        "[Unit]",
        f"Description=mmsearch {arguments[0]} ({name})",
        "",
        "[Service]",
        "ExecStart=" + " ".join(_quoted(one.replace("$", "$$")) for one in _command(arguments)),
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in _environment().items()),
        # Searches and whatever else the user does come first.
        "Nice=10",
        "IOSchedulingClass=idle",
        "Restart=on-failure",
        "RestartSec=30",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A word of a unit (man 5 systemd.syntax): percent signs would be specifiers, backslashes begin escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", escaped) + '"'


def _agent(label: str, arguments: Sequence[str], log: Path) -> bytes:
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": _command(arguments),
            "EnvironmentVariables": _environment(),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ProcessType": "Background",
            "StandardErrorPath": str(log),
        }
    )
