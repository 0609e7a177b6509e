"""For operators: health, metrics, hand-overs, dead letters, deliveries."""
