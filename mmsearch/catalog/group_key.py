"""Which files belong together, by their paths alone: same folder, same stem."""

import os
import re

MEDIA = frozenset(
    b"3fr 3g2 3gp aac aif aiff arw avi avif bmp cr2 cr3 crw dng erf flac flv gif heic heif iiq jfif jpe jpeg jpg jxl "
    b"m2ts m4a m4v mkv mov mp3 mp4 mpeg mpg mts nef nrw oga ogg ogv opus orf pef png raf rw2 rwl sr2 srf srw tif tiff "
    b"wav webm webp wma wmv x3f".split()
)
"""Suffixes that another one may follow: IMG_1.jpg.xmp is about IMG_1.jpg. Part of what a library has stored: a change
is a migration."""

RAW = frozenset(b"3fr arw cr2 cr3 crw dng erf iiq nef nrw orf pef raf rw2 rwl sr2 srf srw x3f".split())
"""Suffixes of pictures as the sensor saw them."""

SIDECARS = frozenset((b"xmp", b"json"))
"""Suffixes of files that only speak about another one."""

SUBTITLES = frozenset((b"srt", b"vtt", b"ass", b"ssa"))
"""Suffixes of files that say what is said in the film beside them."""

_MARKS = frozenset(
    b"aa ab af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    b"es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv "
    b"ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd "
    b"ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr "
    b"ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu afr alb "
    b"sqi ara arm hye aze baq eus bel ben bos bul bur mya cat chi zho cze ces dan dut nld eng est fil fin fre fra geo "
    b"kat ger deu gre ell guj heb hin hrv hun ice isl ind ita jpn kan kaz khm kor kur lao lav lit mac mkd mal mar may "
    b"msa mon nob nor nno pan per fas pol por pob rum ron rus slo slk slv spa srp swa swe tam tel tgl tha tur ukr urd "
    b"uzb vie wel cym arabic bulgarian chinese croatian czech danish dutch english finnish french german greek hebrew "
    b"hindi hungarian indonesian italian japanese korean norwegian persian polish portuguese romanian russian serbian "
    b"spanish swedish thai turkish ukrainian vietnamese forced sdh cc full default auto commentary orig ".split()
)
"""Languages, and what else stands between the stem of a video and the suffix of its subtitles: film.en.forced.srt,
film.pt-BR.vtt. Part of what a library has stored: a change is a migration."""

ALONE = b"/"
"""Ends the key of a file that belongs to none: no stem ends so."""

# Google Takeout writes IMG_1.jpg.json or IMG_1.jpg.supplemental-metadata.json, cut off where the name grows too long,
# and for IMG_1(1).jpg IMG_1.jpg(1).json.
_TAKEOUT = re.compile(rb"(.+)\.(\w+)(?:\.(s[a-z-]*))?(\(\d+\))?\.json", re.DOTALL)
_SUPPLEMENTAL = b"supplemental-metadata"

_SEPARATOR = os.fsencode(os.sep)


def group_key(path: bytes) -> bytes:
    """Folder and stem of a path; equal for files that belong together. A file without suffix stays alone."""
    folder, separator, name = path.rpartition(_SEPARATOR)
    stem = _stem(name)
    return folder + separator + stem if stem else path + ALONE


def suffix(path: bytes) -> bytes:
    """What follows the last dot, in lower case."""
    return path.rpartition(_SEPARATOR)[2].rpartition(b".")[2].lower()


def _stem(name: bytes) -> bytes:
    """The name up to its last dot, and up to the one before if that makes a medium's name; empty if there is none."""
    takeout = _TAKEOUT.fullmatch(name)
    if takeout and takeout[2].lower() in MEDIA and _SUPPLEMENTAL.startswith(takeout[3] or b""):
        return takeout[1] + (takeout[4] or b"")
    stem, dot, last = name.rpartition(b".")
    if not stem or not last:
        return b""
    if last.lower() in SUBTITLES:
        stem = _unmarked(stem)
    inner, dot, kind = stem.rpartition(b".")
    return inner if dot and inner and kind.lower() in MEDIA else stem


def _unmarked(stem: bytes) -> bytes:
    """The stem of subtitles without their language."""
    while True:
        rest, _, mark = stem.rpartition(b".")
        if not rest or re.split(rb"[-_]", mark.lower())[0] not in _MARKS:
            return stem
        stem = rest
