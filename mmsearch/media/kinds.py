"""Names of the kinds of file that people keep beside their media and that no decoder takes, by their first bytes."""

import re

_NAMES: tuple[tuple[bytes, str], ...] = (
    # Pictures
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (rb"\xff\xd8\xff\xf7", "a JPEG-LS picture"),
    (rb"II\xbc[\0\x01]", "a JPEG XR picture"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n.{4}ftypmjp2", "a Motion JPEG 2000 video"),
    (rb"#\?(?:RADIANCE|RGBE)\b", "a Radiance HDR picture"),
    (rb"v/1\x01", "an OpenEXR picture"),
    (rb"SDPX|XPDS", "a DPX picture"),
    (rb"\x80\x2a\x5f\xd7|\xd7\x5f\x2a\x80", "a Cineon picture"),
    (rb"AT&TFORM", "a DjVu document"),
    (rb"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (rb"\x8bJNG\r\n\x1a\n", "a JNG picture"),
    (rb"BPG\xfb", "a BPG picture"),
    (rb"FLIF[1AQaq346CDSTcdst][012]", "a FLIF picture"),
    (rb"\xabKTX (?:11|20)\xbb", "a KTX texture"),
    (rb"\x13\xab\xa1\x5c", "an ASTC texture"),
    (rb"PVR\x03|VTF\0|PKM [12]0", "a texture"),
    (rb"\x01\0\0\0.{36} EMF|\xd7\xcd\xc6\x9a|[\x01\x02]\0\x09\0\0[\x01\x03]", "a Windows metafile"),
    (rb"(?:\0{512}.{10}|.{10})(?:\0\x11\x02\xff\x0c\0)|\0{512}.{10}\x11\x01", "a QuickDraw (PICT) picture"),
    (rb"AC10[0-9]{2}\0|AutoCAD Binary DXF\r\n", "an AutoCAD drawing"),
    (rb".{2048}PCD_IPI", "a Photo CD picture"),
    (rb".{128}DICM", "a DICOM medical picture"),
    (rb"\x89HDF\r\n", "an HDF5 data set"),
    (rb"GRIB|BUFR", "weather data"),
    (rb"\x89LFP\r\n\x1a\n", "a Lytro light field picture"),
    # Cameras' raw pictures that are no TIFF
    (rb".{4}ftypcrx", "a Canon raw picture (CR3)"),
    (rb"II.{4}HEAPCCDR", "a Canon raw picture (CRW)"),
    (rb"FUJIFILMCCD-RAW", "a Fujifilm raw picture (RAF)"),
    (rb"FOVb", "a Sigma raw picture (X3F)"),
    (rb"\0MR[MI]", "a Minolta raw picture (MRW)"),
    (rb"IIR[OS]|MMOR", "an Olympus raw picture (ORF)"),
    (rb"IIU\0", "a Panasonic raw picture (RW2)"),
    (rb"ARRI\x12\x34\x56\x78|ARRI\x78\x56\x34\x12", "an ARRI raw picture"),
    (rb".{4}RED[12]", "a RED raw video"),
    # What programs that make pictures keep
    (rb"gimp xcf", "a GIMP project"),
    (rb"Paint Shop Pro Image File\n\x1a|~BK\0", "a Paint Shop Pro picture"),
    (rb"8BPS\0\x02", "a large Photoshop document (PSB)"),
    (rb"\0\xffKA", "an Affinity document"),
    (rb"CSFCHUNK", "a Clip Studio document"),
    (rb"RIFF.{4}CDR", "a CorelDRAW drawing"),
    (rb"\x06\x06\xed\xf5\xd8\x1d\x46\xe5", "an InDesign document"),
    (rb"BLENDER[-_][vV]", "a Blender scene"),
    (rb"glTF[\x01\x02]\0\0\0|Kaydara FBX Binary", "a 3D model"),
    (rb"FWS|CWS|ZWS", "a Flash program"),
    # Sounds and videos
    (rb"MThd\0\0\0\x06|RIFF.{4}RMID", "a MIDI score"),
    (rb"IMPM|Extended Module: |.{44}SCRM|.{1080}(?:M\.K\.|M!K!|FLT[48]|[468]CHN)", "a tracker module"),
    (rb"OFR ", "an OptimFROG sound"),
    (rb"ADIF", "AAC of the old ADIF kind"),
    (rb"\x02dss|\x03ds2", "a dictation (DSS)"),
    (rb".{4}\x57\x90\x75\x36", "an Audible book"),
    (rb"BIK[a-k]|KB2[a-k]|SMK[24]", "a video of a game (Bink, Smacker)"),
    # Documents
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document"),
    (rb"\{\\rtf", "an RTF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb".{60}(?:BOOKMOBI|TEXtREAd)", "a book for Kindle or Palm"),
    (rb"ITSF\x03\0\0\0|ITOLITLS", "a Windows help file or book"),
    # The rest
    (rb"\x1f\x8b", "gzip-compressed data"),
    (rb"BZh", "bzip2-compressed data"),
    (rb"\xfd7zXZ\0", "xz-compressed data"),
    (rb"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (rb"\x04\x22\x4d\x18", "lz4-compressed data"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (rb"Rar!", "a RAR archive"),
    (rb".{257}ustar", "a tar archive"),
    (rb"MSCF\0\0\0\0|xar!\0|.{2}-lh[0-9a-z]-|\x60\xea.{2}|.{7}\*\*ACE\*\*|\xed\xab\xee\xdb", "an archive"),
    (rb"SQLite format 3\0", "an SQLite database"),
    (rb"PAR1|ARROW1\0\0|Obj\x01|\x93NUMPY", "a table of data"),
    (rb"\x7fELF|MZ|\xca\xfe\xba\xbe|[\xce\xcf]\xfa\xed\xfe|\xfe\xed\xfa[\xce\xcf]|\0asm", "a program"),
    (rb"\0\x05\x16\x07", "macOS metadata (AppleDouble)"),
    (rb"L\0\0\0\x01\x14\x02\0", "a Windows shortcut"),
    (rb"wOFF|wOF2|OTTO|ttcf|true\0|\0\x01\0\0\0[\x04-\x40]|.{34}LP\0\0\0\0", "a font"),
)
_WRITTEN = frozenset({"an RTF document", "PostScript", "a Radiance HDR picture"})
"""Kinds that may be characters throughout."""

_KINDS = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in _NAMES)
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SVG = re.compile(rb"<svg[\s>]", re.IGNORECASE)

_SEQUENCES = frozenset({b"hevc", b"hevx", b"hevm", b"hevs", b"heim", b"heis", b"msf1"})
"""Brands of HEIF files that hold pictures in a track."""


def kind_of(head: bytes) -> str | None:
    """A name for some kinds of file that no decoder takes."""
    if _SVG.search(head[:2048]):
        return "an SVG drawing"
    kind = next((name for pattern, name in _KINDS if pattern.match(head)), None)
    # A text may begin with MZ or BZh.
    return kind if kind and (kind in _WRITTEN or _BINARY.search(head)) else None


def is_picture_track(head: bytes) -> bool:
    """Whether it is a HEIF sequence without a picture by itself, which only a decoder of videos can read."""
    if head[4:8] != b"ftyp" or head[8:12] not in _SEQUENCES:
        return False
    if b"avis" in head[16 : int.from_bytes(head[:4], "big")]:
        return False  # Pillow reads those with AV1
    at = 0
    # Boxes: a length of four bytes, which counts itself, and a name of four. A picture by itself is in a "meta".
    while at + 8 <= len(head):
        length = int.from_bytes(head[at : at + 4], "big")
        if head[at + 4 : at + 8] == b"meta":
            return False
        if length < 8:
            break
        at += length
    return True
