"""The countries: the 249 codes that ISO 3166-1 alpha-2 assigns officially, and three of tax ids."""

from typing import Final

_CODES: Final = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ
BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM
DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS
GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ
MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM
PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV
SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
"""
# GOBL, the format of Invopop's documents, has these as countries for tax (its package l10n): Greece
# (GR in ISO 3166-1), Northern Ireland, and the United Kingdom without it.
_OF_TAX_IDS: Final = frozenset({"EL", "XI", "XU"})
COUNTRIES: Final = frozenset(_CODES.split()) | _OF_TAX_IDS


def right_country(code: object) -> str:
    """What a country code should have been; "" for one that is right."""
    capitals = code.upper() if isinstance(code, str) else ""
    if capitals == "UK":
        return '"GB", the code of the United Kingdom'
    if capitals not in COUNTRIES:
        known = 'a country\'s ISO 3166-1 alpha-2 code in capitals, such as "ES"'
        return f'{known}; or "EL", "XI" or "XU"'
    return "" if capitals == code else f'capitals: "{capitals}"'
