"""Matrix products on the register tile."""
