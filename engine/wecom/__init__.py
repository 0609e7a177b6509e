"""WeCom: customer service and what else it tells us, from its callbacks to our rows and back."""
