"""What serves of a trained model. Searches, labels, exports and checks go no further into training.

| module | what |
|---|---|
| folder | a model's folder in a library: what it is trained on, its checkpoint, and in the end the model |
| card, recipe, records | what is written down of a training, and what `Library.train.models` lists |
| checkpoint | files that are replaced whole |
| apply | a library's vectors through a projection, as a new space; back to the base; dropping a model |
| fusions, heads | the files of trained fusions and heads, checked against the library's space |
| units | what a head labels as one: a file, or the files of a bundle; and its vector |
"""
