"""Downloads by package name, checked against `packages.json`, into the git-ignored folder `.ml/`."""
