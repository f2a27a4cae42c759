"""The engine: it trains any task that meets the protocol of ``protocol.py`` and knows none by name."""
