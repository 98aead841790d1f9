"""Whether two contents are the same: what is kept of each as evidence, and what two of them prove.

A cosine only proposes. What follows from a proof (a hit that is folded away, a file that is offered for deletion) rests
on pixels, on the spectrum of a sound, or on the words of a text. Needs numpy and the standard library alone.
"""
