"""The WeChat official account: callbacks in, answers in their responses or as messages."""
