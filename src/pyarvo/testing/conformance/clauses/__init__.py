"""The clauses, a module for each family or two."""
