"""`mmsearch serve`: a library over HTTP, for the page that comes with it and for programs in any language.

| module | what it holds |
|---|---|
| `options` | what a server is told; who may start how |
| `listening` | sockets and uvicorn, for any application |
| `server` | the application behind them, the beginning and the end |
| `app` | the application: routes, and what they share (`Service`) |
| `guard` | what every request passes first: host, origin, who asks, the size of the body |
| `access` | who asks, and what they may |
| `connections` | how many connections there are, and how long one may take to say what it wants |
| `slots` | how much is done at once |
| `answers` | JSON, and errors as JSON |
| `schemas` | what requests and answers hold |
| `media`, `uploads` | files out, files in |
| `routes/` | one module for each group of routes |
| `page/` | the page: no build step, nothing from elsewhere |

It calls `Library`, and `Library` alone. Loading this package loads nothing of FastAPI yet.
"""
