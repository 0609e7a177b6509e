"""How the service does, for people and for other systems."""
