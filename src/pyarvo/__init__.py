"""pyarvo: Machine Memory and the orchestrator that runs on it."""
