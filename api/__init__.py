"""HTTP surfaces: one folder each, every seed's paths, fields and envelope as written there."""
