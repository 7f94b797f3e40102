"""Where things lie."""

from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
ROOT = SCRIPTS.parent
ML = ROOT / ".ml"
DOWNLOADS = ML / "downloads"
PYTHON = ML / "python"
SENTIMENT = ML / "models" / "sentiment"


def shown(path):
    """The path as a user types it at the repository's root."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
