"""Programs written by hand for libraries that do not have torch's names, and for bare NumPy."""
