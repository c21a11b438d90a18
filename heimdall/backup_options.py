"""The options of `heimdall backup` and `heimdall restore`, apart from what they import."""

from __future__ import annotations

import argparse

BACKUP = "Write all that is needed to go on elsewhere to one file, while everything runs."
RESTORE = "Restore a backup into an empty home and an empty database."


def add_backup_options(backup: argparse.ArgumentParser, restore: argparse.ArgumentParser) -> None:
    backup.add_argument("file", metavar="FILE", help="the file, which must not be there yet")
    backup.add_argument("--without-events", action="store_true", help="leave the events out; counts of them stay")
    restore.add_argument("file", metavar="FILE", help="the backup")
    restore.add_argument("--check", action="store_true", help="only read all of it, and tell what it has")
    restore.add_argument("--to-database", metavar="URL", help="where to (default: HEIMDALL_DATABASE_URL)")
    for command in (backup, restore):
        command.add_argument(
            "--passphrase-file", metavar="FILE",
            help="file of mode 0600 with the passphrase by which it is encrypted (default: HEIMDALL_BACKUP_PASSPHRASE)",
        )  # fmt: skip
        command.add_argument("--json", action="store_true", help="print JSON")
