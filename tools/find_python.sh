#!/bin/sh
# Prints the interpreter to build .venv with: $PYTHON when set, else the first that runs of Python 3.11, 3.10, 3.12.
# A name on PATH can be a version manager's shim that fails, so each candidate is asked for its version.

usable() {
    "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

for candidate in ${PYTHON:-python3.11 python3.10 python3 python3.12 python}; do
    if usable "$candidate"; then
        command -v "$candidate"
        exit 0
    fi
done

if [ -n "$PYTHON" ]; then
    echo "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 with the modules venv and ensurepip." >&2
else
    echo "No Python 3.10, 3.11 or 3.12 with the modules venv and ensurepip was found." >&2
fi
echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11 ..." >&2
exit 1
