"""Which of several sources tells what, so that nothing is told twice."""

from __future__ import annotations

from dataclasses import dataclass

from agents import container_lines
from agents.syslog import Line

# their lines are told from the system's file where auth.log or secure is read as well
SYSTEM_PROGRAMS = container_lines.PROGRAMS | {
    "kernel", "audit", "systemd", "systemd-oomd", "systemd-journald", "systemd-journal", "journald"
}  # fmt: skip


@dataclass
class Roles:
    """Which sources are read; looked up at each line.

    `auditd` says that auditd writes what it gets to the log that is read: then the kernel does not print records, and
    what journald has of them is the same. `journal_audit`: journald itself writes records down, printed or not.
    """

    journal: bool = False
    auth_file: bool = False
    system_file: bool = False
    auditd: bool = False
    journal_audit: bool = False

    def tells(self, line: Line, of_auth_file: bool, is_audit: bool) -> bool:
        """Whether `line` is to be told from where it stands."""
        if is_audit and (self.journal_audit if line.program == "kernel" else self.auditd):
            return False
        if self.auth_file and self.system_file:
            return of_auth_file != (line.program in SYSTEM_PROGRAMS)
        return True

    def see_audit_record(self, line: Line) -> None:
        """Learn from a record where it should not be, or should."""
        if line.program == "kernel":
            self.auditd = False  # the kernel prints what it can give to nobody
        elif self.journal:
            self.journal_audit = True

    def has_own_lines(self) -> bool:
        """Whether the lines of programs that let people in, or make accounts, are read."""
        return self.journal or self.auth_file or self.system_file
