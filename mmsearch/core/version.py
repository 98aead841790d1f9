"""The version, from the installed package's metadata; a bare checkout says so."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("mmsearch")
except PackageNotFoundError:
    VERSION = "0+checkout"
