"""The one error of the scripts: what was wrong, and the line that fixes it."""


class Failure(Exception):
    """Something the user can put right."""

    def __init__(self, what, fix):
        super().__init__(f"{what}\n  fix: {fix}")
