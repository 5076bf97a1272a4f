"""The contract of Machine Memory as tests: every clause on every backend, and a break that turns each one red."""
