"""The price book and the quotes made from it. Pure: facts in, line items with reasons out.

The file is written in yuan, everything here counts in fen (1/100 yuan).
"""

from domain.pricing.book import NegotiationPolicy, PriceBook, Service, Words
from domain.pricing.quoting import (
    Measured,
    QuoteRequest,
    approval_reasons,
    as_points,
    find_service,
    format_yuan,
    measure,
    quote,
    quote_lines,
    request_for,
)

__all__ = [
    "Measured",
    "NegotiationPolicy",
    "PriceBook",
    "QuoteRequest",
    "Service",
    "Words",
    "approval_reasons",
    "as_points",
    "find_service",
    "format_yuan",
    "measure",
    "quote",
    "quote_lines",
    "request_for",
]
