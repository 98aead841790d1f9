"""Models, that is spaces to choose from.

| module | what |
|---|---|
| available | which models there are, and which are on this machine |
| download | downloading or copying one into the models folder |
| cost | what a model costs on this machine |
| holdings | how much there is to embed |
| recommend | which one suits it, and what `space = "auto"` takes |
| switch | adding a model to a library, and switching its searches to it |
"""
