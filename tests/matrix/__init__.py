"""The suites against other versions than those of the wheels: `make test-matrix`."""
