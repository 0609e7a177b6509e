"""Learning from the desk: a turn opened, run again, judged, and its conversation kept as a test."""
