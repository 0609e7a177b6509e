"""Knowledge over HTTP: entries, search, imports, versions, unknown questions, suggestions."""
