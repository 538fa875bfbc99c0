#!/usr/bin/env bash
# nbdev 2.4.14, a library with sub-packages: an edit of a module that is carried back by nbdev_update moves an import one package down.
#
# Seen: the notebook of house/ground/room.py says `from house import __version__`; nbdev_export writes `from .. import __version__`
# (right). After any edit of the module, nbdev_update writes `from house.ground import __version__` into the notebook (wrong: one dot is
# taken for two), and the next export makes a module that cannot be imported. Imports with one dot come back as they were. So in a house
# with sub-packages each nbdev_update is to be followed by a look at the cells with imports.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "nbdev==2.4.14" "execnb==0.1.18" "fastcore==1.14.5"
PATH=$folder/venv/bin:$PATH
cd "$folder"
mkdir -p nbs house/ground
cat > settings.ini <<'INI'
[DEFAULT]
repo = house
lib_name = house
user = somebody
version = 0.0.1
min_python = 3.11
license = apache2
black_formatting = False
doc_path = _docs
lib_path = house
nbs_path = nbs
recursive = True
tst_flags = notest
put_version_in_init = True
update_pyproject = False
branch = main
custom_sidebar = True
doc_host = https://example.org
doc_baseurl = /house
git_url = https://example.org
title = house
audience = Developers
author = somebody
author_email = somebody@example.org
copyright = somebody
description = a house
keywords = house
language = English
status = 3
INI
echo '__version__ = "0.0.1"' > house/__init__.py
touch house/ground/__init__.py house/ground/stone.py
python - <<'PYTHON'
import json

sources = [
    "#| default_exp ground.room",
    "#| export\nfrom house import __version__\nfrom house.ground import stone",
    "#| export\ndef version():\n    return __version__",
]
cell = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
cells = [cell | {"id": f"cell{i}", "source": source.splitlines(True)} for i, source in enumerate(sources)]
kernel = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}}
with open("nbs/00_room.ipynb", "w") as file:
    json.dump({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, file)
PYTHON
nbdev_export
grep -qx 'from .. import __version__' house/ground/room.py
python -c 'import house.ground.room'
sed -i 's/return __version__/return str(__version__)/' house/ground/room.py
nbdev_update
nbdev_export
grep -E 'import (__version__|stone)' house/ground/room.py
grep -q 'from house.ground import __version__' nbs/00_room.ipynb
grep -qx 'from . import __version__' house/ground/room.py
grep -qx 'from . import stone' house/ground/room.py
if python -c 'import house.ground.room' 2> "$folder/error"; then echo "the module can be imported: this has changed"; exit 1; fi
tail -n 1 "$folder/error"
echo "as described: the import went one package down"
