"""Loops over single elements: written from formulas (words.py, emit.py, machine_code.py, loop.py),
and by hand where a step changes several arrays (sgd.py)."""
