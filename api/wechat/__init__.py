"""The WeChat official account's callback, and what seed 002 says of it."""
