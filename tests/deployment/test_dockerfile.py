"""The Dockerfile by its rules: there is no Docker where the tests run, so it is read, and its parts are tried."""

import re
import tomllib
from fnmatch import fnmatch
from importlib import metadata

from packaging.markers import default_environment
from packaging.requirements import Requirement

from tests.deployment.compose import PROJECT, instructions

LINES = instructions()
RUN = " ; ".join(text for word, text in LINES if word == "RUN")


def texts(word: str) -> list[str]:
    return [text for found, text in LINES if found == word]


def test_every_base_is_pinned_and_slim() -> None:
    bases = [text.split()[0] for text in texts("FROM")]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base) for base in bases)


def test_the_last_user_has_no_power_and_no_name_to_look_up() -> None:
    assert texts("USER")[-1] == "10001:10001"
    assert LINES.index(("USER", "10001:10001")) > max(
        n for n, (word, _) in enumerate(LINES) if word == "COPY"
    )


def test_nothing_is_fetched_but_packages_by_their_hash() -> None:
    assert not texts("ADD")
    assert not re.search(r"curl|wget|apt-get|git |https?://", RUN)
    (install,) = re.findall(r"pip [^;&]*? install [^;&]*", RUN)
    for word in ("--require-hashes", "--only-binary=:all:", "--no-deps", "-r /tmp/requirements-runtime.lock"):
        assert word in install


def test_no_secret_and_no_build_tool_stays() -> None:
    assert not re.search(r"(?i)secret|password|key|token", "; ".join(texts("ENV") + texts("ARG")))
    assert "pip uninstall --yes" in RUN
    assert "setuptools wheel pip" in RUN


def test_commands_become_the_containers_process() -> None:
    assert texts("ENTRYPOINT") == ['["perdure"]']
    assert texts("CMD") == ['["serve"]']
    assert 'exec python -m perdure "$@"' in RUN
    assert texts("HEALTHCHECK")[0].endswith('CMD ["python", "-m", "workers.alive"]')


def test_the_builder_sees_what_is_copied_and_nothing_else() -> None:
    ignore = (PROJECT / ".dockerignore").read_text().split("\n")
    patterns = [line for line in ignore if line and not line.startswith("#")]
    assert patterns[0] == "*"
    shown = {line[1:] for line in patterns if line.startswith("!")}
    copied = {text.split()[-2].rstrip("/") for text in texts("COPY") if "--from" not in text}
    assert shown == copied
    assert not any(fnmatch(".env", name) for name in shown)


def names(lock: str) -> dict[str, set[str]]:
    """Package and version of a lock with the hashes it allows."""
    found: dict[str, set[str]] = {}
    current = ""
    for line in (PROJECT / lock).read_text().splitlines():
        if line.startswith("    --hash="):
            found[current].add(line.strip(" \\"))
        else:
            current = line.split(";")[0].rstrip(" \\")
            found[current] = set()
    return found


def test_the_image_holds_the_very_packages_the_tests_run_with() -> None:
    image, tested = names("requirements-runtime.lock"), names("requirements.lock")
    assert all(hashes and hashes <= tested.get(package, set()) for package, hashes in image.items())
    text = (PROJECT / "requirements-runtime.lock").read_text()
    assert "://" not in text


def test_the_image_holds_all_that_the_product_needs() -> None:
    """`uv pip compile` writes the lock; this notices that somebody forgot to (CONTRIBUTING.md)."""
    pinned = {package.split("==")[0] for package in names("requirements-runtime.lock")}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needed: set[str] = set()
    pending = [Requirement(text) for text in project["dependencies"]]
    while pending:
        requirement = pending.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name not in needed:
            needed.add(name)
            inner = [Requirement(text) for text in metadata.requires(name) or []]
            pending += [each for each in inner if applies(each, requirement.extras)]
    assert needed <= pinned, f"missing in the image: {sorted(needed - pinned)}"


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a package brings this requirement on Linux with the extras it was asked for."""
    linux = {**default_environment(), "sys_platform": "linux"}
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**linux, "extra": extra}) for extra in {"", *extras})
