"""The engine: the rules of a step, each one function, and the loop that applies them."""
