"""How the service does: figures for people, gauges for Prometheus, alerts for staff."""
