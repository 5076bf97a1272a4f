"""Every mutant is found by the clauses that are named for it."""
