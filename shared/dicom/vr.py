"""Value representations, grouped by how their values are encoded (PS3.5 6.2)."""

from __future__ import annotations

from typing import Final

# Values that are not part of metadata (STOW-84, WADO-82).
BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

# Text in the character sets of SpecificCharacterSet (PS3.5 6.1.2.2).
TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

# Strings in the default character repertoire (PS3.5 6.1.1).
STRING: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})

# Strings that are always a single value: a backslash is a character like others (PS3.5 6.4).
SINGLE_VALUE: Final = frozenset({"LT", "ST", "UR", "UT"})

# Numbers, with the code of the `struct` module and the length of each (PS3.5 6.2). AT is a pair of US.
NUMBER: Final = {
    "FD": ("d", 8),
    "FL": ("f", 4),
    "SL": ("l", 4),
    "SS": ("h", 2),
    "SV": ("q", 8),
    "UL": ("L", 4),
    "US": ("H", 2),
    "UV": ("Q", 8),
}

# Explicit VRs whose length field has 16 bits; that of the others has 32 (PS3.5 7.1.2).
SHORT_LENGTH: Final = frozenset(
    {"AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI"}
    | {"UL", "US"}
)
LONG_LENGTH: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
