"""Maxima and averages over windows of an image, and their gradients."""
