"""Programs for libraries that do not have torch's names, and for bare NumPy."""
