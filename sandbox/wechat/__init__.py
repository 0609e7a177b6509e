"""The simulated WeChat official account."""
