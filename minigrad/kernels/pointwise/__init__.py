"""Loops over single elements, written from formulas (words.py, emit.py, machine_code.py, loop.py),
and over rows with sums and maxima along them (row_emit.py, row_loop.py); by hand where a step
changes several arrays (sgd.py)."""
