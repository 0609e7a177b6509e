"""The conversation graph: state, nodes, routing. No SQL and no HTTP here."""
