"""Make the checkout's own environment, `.venv`, with Heimdall and what it needs: `environment.py FOLDER EXTRA...`.

Quick when nothing has changed since the last call. Written for any Python, so that one that is too old
gets a sentence instead of a traceback.
"""

import os
import subprocess
import sys

OLDEST = (3, 11)
NEWER = ["python3.%d" % minor for minor in range(20, OLDEST[1] - 1, -1)]


def fail(text):
    sys.stderr.write("heimdall: %s\n" % text)
    sys.exit(1)


def leave_to_a_newer_python():
    """Run this script again with the newest Python on the PATH; end with a sentence when none is new enough."""
    for name in NEWER:
        check = "import sys; sys.exit(sys.version_info < %r)" % (OLDEST,)
        try:
            with open(os.devnull, "w") as nothing:
                works = subprocess.call([name, "-c", check], stdout=nothing, stderr=nothing) == 0
        except OSError:
            works = False
        if works:
            sys.stdout.write("Python %d.%d is too old: taking %s\n" % (tuple(sys.version_info[:2]) + (name,)))
            sys.stdout.flush()
            sys.exit(subprocess.call([name] + sys.argv))
    fail(
        "Python %d.%d is too old: Heimdall needs %d.%d or newer. Install one (Debian, Ubuntu: apt install python3), "
        "or name it: make PYTHON=/path/to/python3" % (sys.version_info[:2] + OLDEST)
    )


def check_modules():
    """Debian keeps `venv` in a package of its own."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        fail(
            "this Python cannot make environments (%s): apt install python%d.%d-venv, or name another: "
            "make PYTHON=/path/to/python3" % ((error,) + tuple(sys.version_info[:2]))
        )


def run(step, command):
    """Run one step; its output is shown when it fails."""
    sys.stdout.write("  %s ...\n" % step)
    sys.stdout.flush()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate()[0]
    if process.returncode != 0:
        sys.stderr.write(output.decode("utf-8", "replace"))
        fail("%s failed: the lines above say why. Run make again when it is mended" % step)


def is_current(stamp, wanted):
    """Whether the stamp says that all of `wanted` was installed."""
    if not os.path.exists(stamp):
        return False
    with open(stamp) as file:
        return file.read() == wanted


def main():
    if sys.version_info < OLDEST:
        leave_to_a_newer_python()
    folder, extras = sys.argv[1], sys.argv[2:]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # one more extra is installed into what is there: each set of them has a stamp of its own
    stamps = [os.path.join(folder, "has-" + "-".join(extras[: n + 1])) for n in range(len(extras))]
    with open(os.path.join(root, "pyproject.toml")) as file:
        wanted = "%s\n%s\n%s" % (sys.version, root, file.read())
    if is_current(stamps[-1], wanted):
        return
    check_modules()
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    if not any(is_current(stamp, wanted) for stamp in stamps):
        sys.stdout.write("making the environment %s (Python %d.%d)\n" % ((folder,) + tuple(sys.version_info[:2])))
        run("an empty environment", [sys.executable, "-m", "venv", "--clear", folder])
    run(
        "Heimdall and what it needs, from PyPI",
        [python, "-m", "pip", "install", "--disable-pip-version-check", "-q", "-e"]
        + ["%s[%s]" % (root, ",".join(extras))],
    )
    for stamp in stamps:
        with open(stamp, "w") as file:
            file.write(wanted)


if __name__ == "__main__":
    main()
