"""A server of the Model Context Protocol: what an assistant may ask of a library. It changes nothing.

| module | what it holds |
|---|---|
| `tools` | what can be asked, and what is answered |
| `server` | the tools as a server of the package `mcp`, over standard input and output |
| `http` | the same over HTTP, behind the guard of `mmsearch.serve` |
"""
