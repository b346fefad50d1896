"""Data sets, one a file. `load(split)` gives a dict of tensors, pictures as uint8; `splits()` what a recipe trains on.

Data come from the folder that the environment variable GENLAB_DATA names, else from the Hub, else there is a DataError
that names both. Nothing here is shipped but scikit-learn's own 8 x 8 digits.
"""
