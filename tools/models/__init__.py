"""The model gateway: chat models of several providers behind one call.

Importing this package is cheap; the provider SDKs load on first use, in a worker thread.
"""
