"""Convolutions, their gradients, and what is fused with them."""
