"""Learning from the desk over HTTP: turns, re-runs, judgements, kept conversations."""
