"""The one error of the recipe."""


class Refused(Exception):
    """A model that cannot be compiled, and why."""
