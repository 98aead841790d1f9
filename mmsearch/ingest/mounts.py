"""Which folders lie on file systems that tell of no changes, since others write to them over a network."""

import re
from pathlib import Path

NETWORK = frozenset(
    (
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
        "ocfs2", "gfs2", "davfs", "virtiofs", "vboxsf", "prl_fs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs",
        "fuse.glusterfs", "fuse.davfs2", "fuse.gvfsd-fuse", "fuse.mergerfs", "fuse.vmhgfs-fuse", "fuse.juicefs",
        "fuse.gcsfuse", "fuse.google-drive-ocamlfuse", "fuse.onedriver", "fuse.unionfs",
    )
)  # fmt: skip
"""Types of file systems, as Linux calls them."""

MOUNTINFO = Path("/proc/self/mountinfo")


def network_folders(root: Path, mountinfo: Path = MOUNTINFO) -> list[Path]:
    """The root if it lies on such a file system, else what is mounted of such below it; nothing elsewhere than on
    Linux."""
    try:
        mounts = _mounts(mountinfo.read_text("utf-8", "surrogateescape"))
    except OSError:
        return []
    above = [(point, kind) for point, kind in mounts if root.is_relative_to(point)]
    # The longest path is the innermost, and of two on one path the later lies above.
    if above and max(enumerate(above), key=lambda one: (len(one[1][0].parts), one[0]))[1][1] in NETWORK:
        return [root]
    return [point for point, kind in mounts if kind in NETWORK and point.is_relative_to(root)]


def _mounts(text: str) -> list[tuple[Path, str]]:
    """Mount point and type of each file system (man 5 proc_pid_mountinfo)."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
            found.append((Path(point), after.split(" ")[0]))
    return found
