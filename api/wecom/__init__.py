"""WeCom's callback address."""
