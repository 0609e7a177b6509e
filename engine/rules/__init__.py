"""The rules in use: their versions, what they do in a turn, and what they would have done."""
