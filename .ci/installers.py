"""Run pip or uv with what they are told about where packages come from, and without what they are told about where to put them.

Usage: installers.py COMMAND …

People and institutions set mirrors, proxies, certificates and caches; those are followed. They also set `user = true`, a target, a
prefix, constraints, hashes: sensible for what is installed by hand, and the end of an environment that is pinned and made in its own
folder. Both kinds stand in the same places, in variables PIP_… and UV_… and in pip's files.
"""

import ast
import os
import re
import subprocess
import sys

# Options of pip, as its files call them, that say where packages come from and how they are fetched.
FROM_WHERE = {
    "index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "cert", "client-cert", "proxy", "timeout", "default-timeout",
    "retries",
    "cache-dir", "no-cache-dir", "keyring-provider", "use-feature", "use-deprecated", "disable-pip-version-check", "no-input",
    "progress-bar", "no-color",
}  # fmt: skip
UV_FROM_WHERE = re.compile(
    "UV_(DEFAULT_INDEX|INDEX|EXTRA_INDEX|FIND_LINKS|NO_INDEX|KEYRING|CREDENTIALS|CACHE|NO_CACHE|LINK_MODE|HTTP|REQUEST|RETRIES|NATIVE_TLS|SYSTEM_CERTS|"
    "INSECURE_HOST|ALLOW_INSECURE_HOST|OFFLINE|CONCURRENT|NO_PROGRESS|NO_COLOR|TORCH_BACKEND|CONFIG_FILE|NO_CONFIG)"
)


def option(variable: str) -> str:
    "What pip's files call a variable PIP_…"
    return variable.removeprefix("PIP_").lower().replace("_", "-")


def from_files(listed: str) -> dict[str, str]:
    "The options of `pip config list` that are followed, as variables."
    values = {}
    for section in ("global", "install"):  # the second is the more particular
        for name, value in re.findall(rf"^{section}\.([a-z-]+)=('.*'|\".*\")$", listed, re.MULTILINE):
            if name in FROM_WHERE:
                values[f"PIP_{name.upper().replace('-', '_')}"] = " ".join(ast.literal_eval(value).split())
    return values


def followed(before: dict[str, str]) -> dict[str, str]:
    "The variables that pip and uv may have."
    return {
        name: value
        for name, value in before.items()
        if not name.startswith(("PIP_", "UV_")) or UV_FROM_WHERE.match(name) or option(name) in FROM_WHERE
    }


def environment(before: dict[str, str], listed: str) -> dict[str, str]:
    "The environment in which pip and uv are run."
    return from_files(listed) | followed(before) | {"PIP_CONFIG_FILE": os.devnull}  # with which pip reads no file at all


def main(command: list[str]) -> int:
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    before = dict(os.environ)
    reading = followed(before) | {
        name: before[name] for name in ("PIP_CONFIG_FILE",) if name in before
    }  # PIP_PYTHON, say, would lead pip away even here
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=reading, capture_output=True, text=True, check=False
    ).stdout
    return subprocess.run(command, env=environment(before, listed), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
