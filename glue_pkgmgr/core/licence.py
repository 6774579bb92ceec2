"""The licence a wheel states, and the rule on which licences may be used.

A licence is an SPDX expression in the form of PEP 639. What cannot be told for certain is no licence at all, and a
rule refuses it: a person then establishes the licence, and an approval records it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from glue_pkgmgr.errors import SettingsError

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

UNREADABLE = "states no licence that can be read"

# Far above any real expression: reading goes one call deeper for each parenthesis.
_LONGEST = 4000  # characters
_DEEPEST = 30  # parentheses within each other

# Classifiers that name one licence. Source: PEP 639, appendix "Mapping License Classifiers to SPDX Identifiers".
_CLASSIFIERS = {
    "License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "License :: CeCILL-B Free Software License Agreement (CECILL-B)": "CECILL-B",
    "License :: CeCILL-C Free Software License Agreement (CECILL-C)": "CECILL-C",
    "License :: OSI Approved :: Blue Oak Model License (BlueOak-1.0.0)": "BlueOak-1.0.0",
    "License :: OSI Approved :: Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "License :: OSI Approved :: CEA CNRS Inria Logiciel Libre License, version 2.1 (CeCILL-2.1)": "CECILL-2.1",
    "License :: OSI Approved :: CMU License (MIT-CMU)": "MIT-CMU",
    "License :: OSI Approved :: Common Development and Distribution License 1.0 (CDDL-1.0)": "CDDL-1.0",
    "License :: OSI Approved :: Eclipse Public License 1.0 (EPL-1.0)": "EPL-1.0",
    "License :: OSI Approved :: Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "License :: OSI Approved :: Educational Community License, Version 2.0 (ECL-2.0)": "ECL-2.0",
    "License :: OSI Approved :: European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "License :: OSI Approved :: European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "License :: OSI Approved :: GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "License :: OSI Approved :: GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "License :: OSI Approved :: Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: MIT No Attribution License (MIT-0)": "MIT-0",
    "License :: OSI Approved :: Mozilla Public License 1.0 (MPL)": "MPL-1.0",
    "License :: OSI Approved :: Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Mulan Permissive Software License v2 (MulanPSL-2.0)": "MulanPSL-2.0",
    "License :: OSI Approved :: PostgreSQL License": "PostgreSQL",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: SIL Open Font License 1.1 (OFL-1.1)": "OFL-1.1",
    "License :: OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
    "License :: OSI Approved :: Universal Permissive License (UPL)": "UPL-1.0",
    "License :: OSI Approved :: University of Illinois/NCSA Open Source License": "NCSA",
    "License :: OSI Approved :: Zero-Clause BSD (0BSD)": "0BSD",
    "License :: OSI Approved :: zlib/libpng License": "Zlib",
}
# Classifiers that leave the version or the variant open, with how the licences they may mean begin. PEP 639
# forbids inferring an expression from one: it can only bear out what the field `License` says, or contradict it.
# Zope's is not in the list of the PEP, and yet has three versions.
_VAGUE_CLASSIFIERS = {
    "License :: OSI Approved :: Academic Free License (AFL)": ("AFL-",),
    "License :: OSI Approved :: Apache Software License": ("Apache-",),
    "License :: OSI Approved :: Artistic License": ("Artistic-",),
    "License :: OSI Approved :: BSD License": ("BSD-", "0BSD"),
    "License :: OSI Approved :: GNU Affero General Public License v3": ("AGPL-3.0-",),
    "License :: OSI Approved :: GNU Free Documentation License (FDL)": ("GFDL-",),
    "License :: OSI Approved :: GNU General Public License (GPL)": ("GPL-",),
    "License :: OSI Approved :: GNU General Public License v2 (GPLv2)": ("GPL-2.0-",),
    "License :: OSI Approved :: GNU General Public License v3 (GPLv3)": ("GPL-3.0-",),
    "License :: OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)": ("LGPL-2.",),
    "License :: OSI Approved :: GNU Lesser General Public License v2 or later (LGPLv2+)": ("LGPL-2.",),
    "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)": ("LGPL-3.0-",),
    "License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)": ("LGPL-",),
    "License :: OSI Approved :: Zope Public License": ("ZPL-",),
    "License :: Other/Proprietary License": ("LicenseRef-",),
    "License :: Public Domain": ("LicenseRef-Public-Domain", "CC0-1.0", "Unlicense"),
}
_SILENT_CLASSIFIERS = {"License :: OSI Approved", "License :: DFSG approved"}  # PEP 639: they name no licence

# The other spellings of the field `License`, lower case, that leave no doubt. Most are the full names of the SPDX
# list. Not here: "BSD", "GPLv3" (no variant), "ASL 2" (Apache or Amazon).
_SPELLINGS = {
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license v2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "2-clause bsd license": "BSD-2-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "simplified bsd license": "BSD-2-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "gplv2+": "GPL-2.0-or-later",
    "gplv3+": "GPL-3.0-or-later",
    "isc license": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mozilla public license 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "the unlicense": "Unlicense",
    "zlib license": "Zlib",
}
_NO_TEXT = {"", "unknown"}  # older build backends wrote UNKNOWN where the author said nothing

# Ids the SPDX list keeps only for old texts: `GPL-3.0` is `GPL-3.0-only`, `GPL-3.0+` is `GPL-3.0-or-later`, and
# these are a licence with an exception. Source: SPDX License List, deprecated identifiers.
_OLD_GNU = re.compile(r"([al]?gpl-\d\.\d|gfdl-1\.\d)(?:-only|(-or-later))?(\+)?")
_OLD_EXCEPTIONS = {
    "ecos-2.0": ("gpl-2.0-or-later", "ecos-exception-2.0"),
    "gpl-2.0-with-autoconf-exception": ("gpl-2.0-only", "autoconf-exception-2.0"),
    "gpl-2.0-with-bison-exception": ("gpl-2.0-only", "bison-exception-2.2"),
    "gpl-2.0-with-classpath-exception": ("gpl-2.0-only", "classpath-exception-2.0"),
    "gpl-2.0-with-font-exception": ("gpl-2.0-only", "font-exception-2.0"),
    "gpl-2.0-with-gcc-exception": ("gpl-2.0-only", "gcc-exception-2.0"),
    "gpl-3.0-with-autoconf-exception": ("gpl-3.0-only", "autoconf-exception-3.0"),
    "gpl-3.0-with-gcc-exception": ("gpl-3.0-only", "gcc-exception-3.1"),
    "wxwindows": ("lgpl-2.0-or-later", "wxwindows-exception-3.1"),
}

_WORDS = re.compile(r"[()]|[^ ()]+(?: WITH [^ ()]+)?")


def canonical_licence(text: str) -> str | None:
    """Return `text` as an SPDX expression in the canonical form of PEP 639; None if it is none.

    More than 4000 characters, or parentheses more than 30 deep, count as none.
    """
    # ASCII, since lower-casing turns the Kelvin sign into a `k`: two spellings that look and compare alike.
    if len(text) > _LONGEST or not text.isascii() or _depth(text) > _DEEPEST:
        return None
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None


def licence_of(metadata: bytes) -> str | None:
    """Return the licence that the METADATA of a wheel states, as a canonical SPDX expression.

    None where it states none that can be read for certain, as in bytes that are no metadata. `License-Expression`
    decides alone, readable or not. Then comes the field `License`, if it is an expression or another spelling that
    leaves no doubt, and no licence classifier contradicts it. A text that says something else may vary what a
    classifier names, so the classifier does not count. Without a text, a single classifier that names one licence
    does; of several, nobody knows whether all apply or one may be chosen.
    Source: PEP 639 and its appendix on classifiers; Core metadata specification, "License".
    """
    # Here: it brings all of `email`, and no rule needs it before there is a wheel to look at.
    from packaging.metadata import parse_email

    try:
        fields, unread = parse_email(metadata)
    except Exception:  # the parsers promise nothing for any bytes: parts nested too deep overflow them, for one
        return None
    if unread.keys() & {"license-expression", "license", "classifier"}:  # repeated, or not UTF-8
        return None
    if (stated := fields.get("license_expression")) is not None:
        return canonical_licence(stated)
    return _older_licence(fields)


def _older_licence(fields: RawMetadata) -> str | None:
    """What metadata older than PEP 639 state."""
    classifiers = {one for one in fields.get("classifiers", ()) if one.startswith("License")} - _SILENT_CLASSIFIERS
    text = " ".join(fields.get("license", "").split())
    if text.lower() in _NO_TEXT:
        return _CLASSIFIERS.get(classifiers.pop()) if len(classifiers) == 1 else None
    licence = _SPELLINGS.get(text.lower()) or canonical_licence(text)
    if licence is None or not all(_bears_out(one, licence) for one in classifiers):
        return None
    return licence


def _bears_out(classifier: str, licence: str) -> bool:
    """Whether a licence of the expression is what `classifier` means or may mean; one we do not know never is."""
    named = [_term(word)[0] for word in _WORDS.findall(licence)]
    if classifier in _CLASSIFIERS:
        return _CLASSIFIERS[classifier].lower() in named
    begins = tuple(one.lower() for one in _VAGUE_CLASSIFIERS.get(classifier, ()))
    return any(one.startswith(begins) for one in named)


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceRule:
    """Which licences may be used, as canonical SPDX ids, each optionally `WITH` an exception.

    With entries in `allow` nothing else may be used; entries in `deny` may not. False if it rules nothing. A
    choice (`OR`) passes if one side does, several licences together (`AND`) if all do. An entry covers its licence
    with any exception too, unless the other list names that exception. Case does not count, and a deprecated id
    (`GPL-3.0`, `GPL-3.0+`) is the new one (`GPL-3.0-only`, `GPL-3.0-or-later`). Every other id stands for itself:
    `Apache-2.0+` is not `Apache-2.0`, nor is `GPL-3.0-or-later` `GPL-3.0-only`.
    """

    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.allow or self.deny)

    def refused(self, expression: str | None) -> str:
        """Return why a licence is refused, such as `GPL-3.0-only is denied`; empty if it may be used.

        None, and a text that is no SPDX expression, are refused by any rule: what is not known may be denied.
        """
        if not self:
            return ""
        licence = None if expression is None else canonical_licence(expression)
        if licence is None:
            return UNREADABLE
        return " and ".join(dict.fromkeys(_either(deque(_WORDS.findall(licence)), self._fault)))

    def _fault(self, term: str) -> str:
        licence, exception = _term(term)
        allow, deny = {_term(one) for one in self.allow}, {_term(one) for one in self.deny}
        # An exception adds permissions: it is allowed with its licence, and lifts a denial only where it is named.
        exact, plain = (licence, exception), (licence, "")
        if exact in deny or (plain in deny and exact not in allow):
            return f"{term} is denied"
        return f"{term} is not allowed" if allow and not allow & {exact, plain} else ""


def parse_licence_rule(allow: Iterable[str], deny: Iterable[str]) -> LicenceRule:
    """Return the rule of two lists of SPDX ids in any case, each optionally `WITH` an exception.

    Raises: SettingsError for an entry that is no single SPDX licence, or that is in both lists.
    """
    rule = LicenceRule(
        allow=frozenset(_entry(one, "allow") for one in allow), deny=frozenset(_entry(one, "deny") for one in deny)
    )
    denied = {_term(one) for one in rule.deny}
    if both := sorted(one for one in rule.allow if _term(one) in denied):
        raise SettingsError(f"{both[0]!r} is both in allow and in deny: keep it in one of them")
    return rule


def _entry(text: str, where: str) -> str:
    licence = canonical_licence(text)
    if licence is None:
        raise SettingsError(
            f"{where}: {text[:60]!r} is no SPDX licence id such as 'MIT' or 'Apache-2.0'{_nearest(text)}"
        )
    if len(_WORDS.findall(licence)) > 1:
        raise SettingsError(f"{where}: {licence[:60]!r} is an expression: list its licences one by one")
    return licence


def _nearest(text: str) -> str:
    import difflib

    name, _, exception = " ".join(text[:60].lower().split()).partition(" with ")
    known = {one.lower(): one for one in (*_SPELLINGS.values(), *_CLASSIFIERS.values())}
    if exception and canonical_licence(name):
        return f"; {exception!r} is no SPDX exception"
    close = difflib.get_close_matches(name, known, n=1)
    found = _SPELLINGS.get(name) or (known[close[0]] if close else "")
    return f"; did you mean {found!r}?" if found else ""


def _either(words: deque[str], fault: Callable[[str], str]) -> list[str]:
    """Take sides joined by OR from `words`: nothing if one has no fault, else the faults of all."""
    sides = [_together(words, fault)]
    while words and words[0] == "OR":
        words.popleft()
        sides.append(_together(words, fault))
    return [] if [] in sides else [one for side in sides for one in side]


def _together(words: deque[str], fault: Callable[[str], str]) -> list[str]:
    """Take what is joined by AND, which binds closer than OR."""
    faults = _one(words, fault)
    while words and words[0] == "AND":
        words.popleft()
        faults += _one(words, fault)
    return faults


def _one(words: deque[str], fault: Callable[[str], str]) -> list[str]:
    word = words.popleft()
    if word != "(":
        return [found] if (found := fault(word)) else []
    faults = _either(words, fault)
    words.popleft()  # the closing one: the expression is valid
    return faults


def _term(text: str) -> tuple[str, str]:
    """A licence and its exception, "" if it has none, as they are compared: lower case, no deprecated id."""
    licence, _, exception = text.lower().partition(" with ")
    licence, implied = _OLD_EXCEPTIONS.get(licence, (licence, ""))
    if old := _OLD_GNU.fullmatch(licence):
        licence = f"{old[1]}{'-or-later' if old[2] or old[3] else '-only'}"
    return licence, exception or implied


def _depth(text: str) -> int:
    return max(accumulate((one == "(") - (one == ")") for one in text), default=0)
