"""A package: `python -m tests.chaos` would else find the `tests` that some package has left in the environment."""
