"""The same tools over the Model Context Protocol, at /mcp."""
