"""The human desk: who answers, who waits, and what people say to customers."""
