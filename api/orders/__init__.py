"""Orders for work on pictures, and the pictures."""
