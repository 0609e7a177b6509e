"""Customers beyond their conversations: who they are, how they stand, and what is kept of them."""
