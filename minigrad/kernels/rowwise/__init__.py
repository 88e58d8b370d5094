"""Loops over the rows of a matrix, or its columns: sums, running sums, softmax and its losses."""
