"""Names of licences, as sources spell them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_toolkit.creative_commons import CODES, COUNTRIES, OF_ZERO, TAIL
from image_toolkit.licences import is_one_of, licence_id, pages

CC = [
    f"cc-{kind}{version}"
    for kind in ("by", "by-nc", "by-nd", "by-sa", "by-nc-nd", "by-nc-sa")
    for version in ("", "-1.0", "-2.0", "-2.1", "-2.5", "-3.0", "-4.0")
]
NC_ND = "cc-by-nc-nd-4.0"
KNOWN = {*CC, "cc0-1.0", "public-domain-mark"}
WORDS = TAIL | OF_ZERO | COUNTRIES | CODES | {"creative", "commons", "creativecommons", "zero"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC-BY-SA 4.0", "cc-by-sa-4.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 3.0", "cc-by-nc-sa-3.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("http://creativecommons.org/publicdomain/mark/1.0/", "public-domain-mark"),
        ("https://creativecommons.org/licenses/by-nc/3.0/de/deed.en?ref=x#top", "cc-by-nc-3.0"),
        ("creativecommons.org/licenses/by/4.0/legalcode", "cc-by-4.0"),
        ("CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)", "cc-by-4.0"),
        ("cc_by_2", "cc-by-2.0"),
        ("CC BY", "cc-by"),
        ("CC BY-SA-NC", "cc-by-nc-sa"),
        ("ccby4.0", "cc-by-4.0"),
        ("CC0", "cc0-1.0"),
        ("cc-zero", "cc0-1.0"),
        ("Creative Commons Zero v1.0 Universal", "cc0-1.0"),
        ("CC0 1.0 Universal (CC0 1.0) Public Domain Dedication", "cc0-1.0"),
        ("Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)", "cc-by-sa-4.0"),
        ("License: CC BY 2.0 Generic Deed.", "cc-by-2.0"),
        ("CC-BY-SA-3.0-DE", "cc-by-sa-3.0"),
        ("CC BY 3.0 United States License", "cc-by-3.0"),
        ("CC BY 3.0 IGO", "cc-by-3.0"),
        ("Creative Commons Attribution 4.0 International Public License", "cc-by-4.0"),
        ("CC BY-SA 4.0 International Public License", "cc-by-sa-4.0"),
        ("creative-commons-attribution-4-0-international-public-licence", "cc-by-4.0"),
        ("cc-by-4-0", "cc-by-4.0"),
        ("CC_BY_NC_2_5", "cc-by-nc-2.5"),
        ("cc0-1-0", "cc0-1.0"),
        ("\ufeffCC\u00a0BY\u20114.0\u200b", "cc-by-4.0"),
        ("https://spdx.org/licenses/CC-BY-4.0.html", "cc-by-4.0"),
        ("http://spdx.org/licenses/CC-BY-NC-ND-2.5#licenseText", "cc-by-nc-nd-2.5"),
        ("spdx.org/licenses/CC-BY-SA-3.0-DE.json", "cc-by-sa-3.0"),
        ("https://spdx.org/licenses/CC-BY-3.0-IGO.html", "cc-by-3.0"),
        ("https://spdx.org/licenses/CC0-1.0/", "cc0-1.0"),
        ("CC BY (https://spdx.org/licenses/CC-BY-2.0.html)", "cc-by-2.0"),
        ("SPDX-License-Identifier: CC-BY-SA-4.0", "cc-by-sa-4.0"),
        ("CC-BY-NC-SA-2.0-UK", "cc-by-nc-sa-2.0"),
        ("CC-PDM-1.0", "public-domain-mark"),
        ("https://spdx.org/licenses/MIT.html", "mit"),
        ("https://spdx.org/licenses/ODbL-1.0.html", "odbl"),
        ("ODC-By-1.0", "odc-by"),
        ("ODbL 1.0", "odbl"),
        ("CDLA-Permissive-2.0", "cdla-permissive-2.0"),
        ("MIT License", "mit"),
        ("Unsplash", "unsplash"),
        ("?", "unknown"),
        ("N/A", "unknown"),
        ("Público | <b>", "público-b"),
    ],
)
def test_names_of_licences(text, name):
    """A licence is one licence, however a source spells it."""
    assert licence_id(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY 4.0 NonCommercial", "cc-by-nc-4.0"),
        ("CC BY 4.0 non-commercial use only", "cc-by-nc-4.0"),
        ("Creative Commons Attribution 4.0, non commercial only", "cc-by-nc-4.0"),
        ("Creative Commons Attribution-No Derivatives 4.0", "cc-by-nd-4.0"),
        ("CC BY No Derivs 2.0", "cc-by-nd-2.0"),
        ("CC BY-No Derivative Works 3.0", "cc-by-nd-3.0"),
        ("CC BY 3.0 no derivatives", "cc-by-nd-3.0"),
        ("CC BY + NC", "cc-by-nc"),
        ("CC-BYNC", "cc-by-nc"),
        ("CCBYNCSA 4.0", "cc-by-nc-sa-4.0"),
        ("CC BY share alike", "cc-by-sa"),
        ("cc-by-nc-nd-4-0", "cc-by-nc-nd-4.0"),
        ("Attribution-NonCommercial-NoDerivatives 4.0 International Public License (CC)", NC_ND),
        ("CC BY 4.0, https://creativecommons.org/licenses/by-nc/4.0/", "cc-by-nc-4.0"),
        ("CC BY 4.0 https://creativecommons.org/licenses/by-nd/4.0", "cc-by-nd-4.0"),
        ("CC BY 4.0, https://spdx.org/licenses/CC-BY-NC-4.0.html", "cc-by-nc-4.0"),
    ],
)
def test_what_restricts_counts_wherever_it_stands(text, name):
    """Spaced, hyphenated, joined, or in a URL."""
    assert licence_id(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY 4.0 or All rights reserved", "cc-by-4.0-or-all-rights-reserved"),
        ("CC0 is not granted", "cc0-is-not-granted"),
        ("CC BY 4.0, not for commercial use", "cc-by-4.0-not-for-commercial-use"),
        ("not CC BY", "not-cc-by"),
        ("CC BY 3.0 no", "cc-by-3.0-no"),
        ("CC BY 4.0 in", "cc-by-4.0-in"),
        ("CC BY public domain", "cc-by-public-domain"),
        ("CC BY 4.0 public", "cc-by-4.0-public"),
        ("CC BY 4.0 non public license", "cc-by-4.0-non-public"),
        ("cc-by-3-0-4-0", "unclear-cc-by-3-0-4-0"),
        ("CC BY 3-5", "unclear-cc-by-3-5"),
        ("CC0 by", "cc0-by"),
        ("CC BY-ND-SA", "unclear-cc-by-nd-sa"),
        ("CC BY 4.0?", "unclear-cc-by-4.0"),
        ("CC BY 4.0*", "unclear-cc-by-4.0"),
        ("≠ CC BY 4.0", "unclear-cc-by-4.0"),
        ("CC BY 5.0", "unclear-cc-by-5.0"),
        ("CC-BY-4.0 OR MIT", "cc-by-4.0-or-mit"),
        ("https://spdx.org/licenses/CC-BY-4.0.html, ask first", None),
        ("https://spdx.org/licenses/CC-BY-4.0-and-more", None),
        ("https://spdx.org/licenses/CC-BY-ND-SA-4.0.html", None),
        ("CC BY 3.0 / 4.0", "unclear-cc-by-3.0-4.0"),
        ("CC BY 4.0 2019", "unclear-cc-by-4.0-2019"),
        ("CC0?", "unclear-cc0"),
        ("Creative Commons", "creative-commons"),
        ("CC BY " + "1" * 80 + " all rights reserved", "unclear-cc-by-" + "1" * 54),
    ],
)
def test_what_is_not_understood_is_no_known_licence(text, name):
    """It keeps its text, and a filter on licences keeps none of it."""
    assert name in (None, licence_id(text))
    assert not is_one_of(licence_id(text), KNOWN)


def test_pages_of_licences():
    """SPDX's pages have its own spelling, which its server insists on."""
    licences = ["cc-by-4.0", "cdla-permissive-2.0", "mit", "odbl", "cc-by", "unknown", "mine"]
    names = ["CC-BY-4.0", "CDLA-Permissive-2.0", "MIT", "ODbL-1.0"]
    told = [f"https://spdx.org/licenses/{name}.html" for name in names]
    assert pages(dict.fromkeys(licences, 1)) == told
    assert [licence_id(page) for page in told] == licences[:4]


CC_PAGES = "https://creativecommons.org/licenses"


@pytest.mark.parametrize(
    ("link", "name"),
    [
        (f'<a href="{CC_PAGES}/by/4.0/">CC BY 4.0</a>', "cc-by-4.0"),
        (f"<A rel='license' HREF='{CC_PAGES}/by/4.0/' target=_blank>CC BY</A>", "cc-by-4.0"),
        (f'<a href="{CC_PAGES}/by-nc/4.0/">Creative Commons License</a>', "cc-by-nc-4.0"),
        (f"<a href={CC_PAGES}/by-nd/2.0/></a>", "cc-by-nd-2.0"),
        ('<a href="https://creativecommons.org/publicdomain/zero/1.0/">CC0</a>', "cc0-1.0"),
        ('<a href="https://a.example/about">CC BY-NC 4.0</a>', "cc-by-nc-4.0"),
        ('<a href="https://opensource.org/licenses/MIT">MIT License</a>', "mit"),
        ('<a href="https://a.example/about">CC BY 4.0</a>, no commercial use', None),
        (f'<a href="{CC_PAGES}/by/4.0/" title="no commercial use">CC BY 4.0</a>', None),
        (f'<a href="{CC_PAGES}/by-nc/4.0/">CC BY 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by%2Dnc/4.0/">CC BY 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by-nc/4.0/">Attribution 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by-nd/">CC BY 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by/4.0/">CC BY-NC 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by/4.0/">CC BY 4.0</a> NonCommercial', "unknown"),
        (f'<a href="{CC_PAGES}/by/3.0/">CC BY 4.0</a>', "unknown"),
        (f'<a href="{CC_PAGES}/by/4.0/">All rights reserved</a>', "unknown"),
        ('<a href="https://spdx.org/licenses/CC-BY-4.0.html">CC BY 4.0</a>', "cc-by-4.0"),
        ('<a href="https://spdx.org/licenses/CC-BY-NC-4.0.html">CC BY 4.0</a>', "unknown"),
        ('<a href="https://spdx.org/licenses/CC-BY-SA-4.0.html">CC BY 4.0</a>', "unknown"),
        ('<a href="https://spdx.org/licenses/MIT.html">CC BY 4.0</a>', "unknown"),
        ('<a href="https://opensource.org/licenses/MIT">CC BY 4.0</a>', "unknown"),
    ],
)
def test_links_to_licences(link, name):
    """Words and link must agree; what either restricts is never dropped."""
    if name is None:
        assert not is_one_of(licence_id(link), KNOWN)
    else:
        assert licence_id(link) == name


def _is_understood(word: str) -> bool:
    word = word.casefold()
    return word in WORDS or bool(re.fullmatch(r"(cc)?(by)?(nc|nd|sa)*", word))


UNKNOWN_WORDS = st.text(st.characters(categories=["L", "M", "S"]), min_size=1, max_size=12).filter(
    lambda word: not _is_understood(word) and not set(word) <= set("+|©®™")
)


@given(
    name=st.sampled_from(
        ["CC BY", "CC BY 4.0", "CC-BY-SA 3.0", "CC0", "http://creativecommons.org/licenses/by/2.0/"]
    ),
    words=st.lists(UNKNOWN_WORDS, min_size=1, max_size=12),
    between=st.sampled_from([" ", ", ", " - ", "/ "]),
    first=st.booleans(),
)
def test_unknown_words_leave_no_known_licence(name, words, between, first):
    """Before or after the name of a licence, whatever they say."""
    told = between.join([*words, name] if first else [name, *words])
    assert not is_one_of(licence_id(told), KNOWN)
