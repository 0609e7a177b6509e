"""The human desk over HTTP: signing in, acting, and what happens as it happens."""
