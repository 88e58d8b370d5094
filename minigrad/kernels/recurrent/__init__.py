"""Layers through time."""
