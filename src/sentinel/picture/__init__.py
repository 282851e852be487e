"""Pictures: decoded in processes of their own, and measured there.

What protocols that fetch pictures share; nothing here speaks to a network.
"""
