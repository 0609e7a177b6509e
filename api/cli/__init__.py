"""The console script `kefu`."""
