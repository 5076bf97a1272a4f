"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# A busy machine is slow at drawing examples too; that says nothing about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
