"""The configuration as typed values; how a file becomes these values is in the room `config/`.

A new key is a field in `values.py`, or in `shaping.py` or `notify.py`, whose sections are their own; `types.py` has the
checks of single values, `errors.py` the texts of faults.
"""
