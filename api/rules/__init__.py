"""/api/v1/rules."""
