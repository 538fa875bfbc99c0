"Packaging. Every value comes from settings.ini: edit there, not here."

import shlex
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(HERE / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]
name = cfg["lib_name"]

# Each `<extra>_requirements` key of settings.ini is an extra: `pip install avesound[dev]`.
extras = {key.removesuffix("_requirements"): shlex.split(value) for key, value in cfg.items() if key.endswith("_requirements")}

setup(
    name=name,
    version=cfg["version"],
    description=cfg["description"],
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"].split(),
    author=cfg["author"],
    author_email=cfg["author_email"],
    license={"apache2": "Apache-2.0"}[cfg["license"]],
    url=cfg["git_url"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: " + cfg["audience"],
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)),
    ],
    packages=find_packages(include=[cfg["lib_path"], cfg["lib_path"] + ".*"]),
    package_data={name: cfg["package_data"].split()},
    python_requires=">=" + cfg["min_python"],
    install_requires=shlex.split(cfg["requirements"]),
    extras_require=extras,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{name}={name}._modidx:d"],
    },
    zip_safe=False,
)
