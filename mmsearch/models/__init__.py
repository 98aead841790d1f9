"""Models, that is spaces to choose from.

| module | what |
|---|---|
| available | which models there are, and which are on this machine |
| download | downloading or copying one into the models folder |
| cost | what a model costs on this machine |
| recommend | which one suits it |
| switch | adding a model to a library, and switching its searches to it |
"""
