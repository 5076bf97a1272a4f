"""The demo: an order workflow whose worker processes are killed on the way."""
