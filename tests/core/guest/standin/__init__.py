"""A stand-in for the agent: the guest's other half of the tests in `test_boot`."""
