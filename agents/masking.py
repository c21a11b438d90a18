"""Secrets in command lines and scripts, masked before they leave the host.

What is masked is what follows a word for a secret (`password=…`, `--token …`, `/p:…`, `-p …`, `Authorization: …`),
a password in a URL, in `net user NAME …` or in `curl -u NAME:…`, and what is known as a token by its form. Rather too
much than too little; yet a secret that nothing marks as one stays: no list is complete. No pattern takes more than
linear time: repetitions are bounded, or take what they have seen with them.
"""

from __future__ import annotations

import re

MASK = "***"

# `PWD=/home/alice` is where a shell was, as sudo tells it
_KEY = (
    r"(?:pass(?:word|wd|phrase|code)?|(?-i:(?!PWD=/))pwd|secret|token|credentials?"
    r"|(?:api|access|account|private|shared|encryption|subscription)[-_]?(?:access[-_]?)?key)"
)
# quoted once or several times over, behind backslashes or not, closed or not; or up to the next space
_VALUE = r"""(?:\\{0,4}"+[^"]*"*|\\{0,4}'+[^']*'*|\S+)"""
_SHORT = r"""(?:"[^"]{0,256}"|'[^']{0,256}'|[^\s"']{1,256})"""

_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(ConvertTo-SecureString\s{{1,8}}(?:-String\s{{1,8}})?){_VALUE}",
        r"""(authorization\\{0,2}["']?\s{0,4}[:=]\s{0,4}\\{0,2}["']?)(?:[^"'\r\n]+)""",
        rf"""({_KEY}[\w.-]{{0,24}}\\{{0,2}}["'\])]{{0,2}}\s{{0,4}}[:=]=?\s{{0,4}}){_VALUE}""",
        rf"""(?<![\w/-])([-/][\w-]{{0,32}}{_KEY}[\w-]{{0,24}}\s{{1,8}}){_VALUE}""",
        rf"""(?<![\w/-])([-/]r?p(?:[:=]|\s{{1,8}})){_VALUE}""",
        rf"(\bnet1?(?:\.exe)?[\"']?\s{{1,8}}user\s{{1,8}}{_SHORT}\s{{1,8}})(?!/){_VALUE}",
        r"""(?<!\S)((?:-u|--user|--proxy-user)[\s=]{0,4}["']?[^\s:"']{1,128}:)[^\s"']+""",
        r"""(://[^\s:/@"']{0,128}:)[^\s@"']{1,256}(?=@)""",
        r"(\b(?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}",
        r"(?<![\w-])()(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abeprs]-[\w-]{10,}|A[KS]IA[0-9A-Z]{16}"
        r"|eyJ[\w-]{10,}\.[\w-]{5,}(?:\.[\w-]*)?)",
    )
)


def mask(text: str) -> str:
    """`text` with `***` in place of what looks like a secret."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text
