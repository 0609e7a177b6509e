"""Qingyunke (青云客): a free chat robot. It knows nothing of the shop, and hears nothing of it."""
