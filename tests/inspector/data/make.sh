#!/usr/bin/env bash
# How the images of this folder were made, by Linux itself (6.x, btrfs-progs 6.2, xfsprogs 6.1, ntfs-3g 2022.10): as root, with loop devices.
# The two of LVM are physical volumes on loop devices, by pvcreate, vgcreate and lvcreate (see the test that reads them).
# They hold what no tool makes without a mount: subvolumes, compressed extents, file capabilities, extents and attributes in trees.
# The hives (*.hive.xz) are hivex's: see make_hives.py, which needs neither root nor devices.
# xfs-dirty and xfs-dirty-4 are of tests/images/dirty_logs.py, which says what it takes.
# Beside each image, NAME.json says what Linux shows of it: kind, mode, owner, size, digest, link target, attributes by path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'umount -q "$work/mnt" || true; rm -rf "$work"' EXIT
mkdir "$work/mnt"

lines() { # TEXT, BYTES
    yes "$1" | head -c "$2" || true # yes ends by a broken pipe
}

fill() { # a root that the inspector knows, and files of every kind, in the folder $1
    mkdir -p "$1"/{etc,usr/bin,usr/lib,boot,lib/modules,many,deep/a/b/c/d,fragments}
    printf 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n' >"$1/usr/lib/os-release"
    ln -s ../usr/lib/os-release "$1/etc/os-release"
    ln -s usr/bin "$1/bin"
    printf '\177ELF\2\1\1%09d\2\0\76\0%044d' 0 0 >"$1/usr/bin/sh"
    cp "$1/usr/bin/sh" "$1/usr/bin/ping"
    chmod 4755 "$1/usr/bin/sh"
    printf 'kernel' >"$1/boot/vmlinuz-6.1.0-18-amd64"
    for number in $(seq 400); do printf 'file %d\n' "$number" >"$1/many/a-file-with-a-rather-long-name-$number"; done
    printf 'x' >"$1/deep/a/b/c/d/$(printf '%0200d' 0)"
    printf 'ä' >"$1/deep/ümläut-名前"
    ln -s "$(printf 'long/%.0s' $(seq 150))end" "$1/deep/long-link"
    : >"$1/empty"
    lines 'a line of a text that compresses well' 1000000 >"$1/text"
    dd if=/dev/zero of="$1/sparse" bs=1 count=1 seek=50M status=none
    ln "$1/text" "$1/text-again"
    mkfifo "$1/fifo"
    setcap cap_net_raw+ep "$1/usr/bin/ping"
    setfattr -n user.note -v hello "$1/text"
    for number in $(seq 12); do setfattr -n "user.attribute-$number" -v "$(printf '%0100d' "$number")" "$1/usr/bin/ping"; done
    for number in $(seq 60); do
        printf '%04096d' "$number" | dd of="$1/fragments/one" bs=4096 seek=$((number * 2)) conv=notrunc status=none
        printf '%04096d' "$number" | dd of="$1/fragments/two" bs=4096 seek=$((number * 3)) conv=notrunc status=none
        sync "$1/fragments/one" "$1/fragments/two"
    done
    fallocate -l 300k "$1/unwritten"
    touch -d '2024-05-06 07:08:09 UTC' "$1/text"
}

describe() { # what Linux shows beneath the folder $1
    python3 - "$1" <<'END'
import base64, hashlib, json, os, stat, sys
top, found = sys.argv[1], {}
for folder, folders, files in os.walk(top):
    for name in folders + files:
        path = os.path.join(folder, name)
        one = os.lstat(path)
        said = {"kind": stat.S_IFMT(one.st_mode), "mode": stat.S_IMODE(one.st_mode), "uid": one.st_uid, "mtime": int(one.st_mtime)}
        # Linux's stand-in for a subvolume that is not there was last changed now.
        said["mtime"] *= one.st_ino != 2
        if stat.S_ISREG(one.st_mode):
            said |= {"size": one.st_size, "sha256": hashlib.sha256(open(path, "rb").read()).hexdigest()}
        elif stat.S_ISLNK(one.st_mode):
            said["link"] = os.readlink(path)
        names = [] if stat.S_ISLNK(one.st_mode) else os.listxattr(path)
        if names:
            said["xattrs"] = {name: base64.b64encode(os.getxattr(path, name)).decode() for name in names}
        found["/" + os.path.relpath(path, top)] = said
json.dump(found, sys.stdout, ensure_ascii=False, separators=(",", ":"))
END
}

image() { # NAME, SIZE, OPTIONS OF MOUNT, MKFS WORDS…
    local name=$1 size=$2 options=$3
    shift 3
    truncate -s "$size" "$work/$name"
    "$@" "$work/$name" >/dev/null
    mount -o "loop,$options" "$work/$name" "$work/mnt"
}

finish() { # NAME, FOLDER TO DESCRIBE
    sync
    umount "$work/mnt"
    mount -o "loop,ro" "$work/$1" "$work/mnt"
    describe "$work/mnt/${2-}" >"$work/$1.json"
    umount "$work/mnt"
    xz -9e -c "$work/$1.json" >"$here/$1.json.xz"
    xz -9e -c "$work/$1" >"$here/$1.img.xz"
}

image xfs 300M noatime mkfs.xfs -q -m uuid=22222222-2222-4333-8444-555555555555 -L system
fill "$work/mnt"
finish xfs
image btrfs 120M noatime,compress-force=zstd mkfs.btrfs -q -U 33333333-2222-4333-8444-555555555555 -L system
btrfs -q subvolume create "$work/mnt/@"
btrfs -q subvolume create "$work/mnt/@home"
btrfs -q subvolume create "$work/mnt/@/var"
ln -s nowhere "$work/mnt/a-link-in-the-top-directory"
fill "$work/mnt/@"
printf 'UUID=33333333-2222-4333-8444-555555555555 / btrfs subvol=@ 0 0\nLABEL=system /home btrfs subvol=/@home,noatime 0 0\n' >"$work/mnt/@/etc/fstab"
mkdir "$work/mnt/@home/somebody"
printf 'cache' >"$work/mnt/@/var/in-a-subvolume"
for kind in zlib lzo zstd; do
    btrfs property set "$work/mnt/@home/somebody" compression $kind
    lines "a line compressed by $kind" 700000 >"$work/mnt/@home/somebody/$kind"
    printf "small, compressed by $kind %0900d" 0 >"$work/mnt/@home/somebody/small-$kind"
done
finish btrfs
# Subvolumes in subvolumes, and more snapshots of what holds them than a directory has names; one of them is gone since, one moved.
image btrfs-snapshots 109M noatime mkfs.btrfs -q -m single -U 44444444-2222-4333-8444-555555555555 -L system
btrfs -q subvolume create "$work/mnt/@"
mkdir -p "$work/mnt/@/srv" "$work/mnt/snapshots"
printf 'beneath a subvolume' >"$work/mnt/@/file"
for name in srv/inner srv/inner/innermost srv/gone moving; do
    btrfs -q subvolume create "$work/mnt/@/$name"
    printf 'beneath %s' "$name" >"$work/mnt/@/$name/file"
done
for number in $(seq 10); do btrfs -q subvolume snapshot "$work/mnt/@" "$work/mnt/snapshots/$number"; done
btrfs -q subvolume delete --commit-after "$work/mnt/@/srv/gone"
btrfs subvolume sync "$work/mnt"
mv "$work/mnt/@/moving" "$work/mnt/@/srv/moved"
finish btrfs-snapshots
# A Windows' folders on NTFS, for ntfscp to put hives and drivers into: it makes no folders itself. By ntfs-3g.
truncate -s 48M "$work/ntfs"
mkfs.ntfs -q -F -L Windows "$work/ntfs" >/dev/null 2>&1
ntfs-3g -o compression,streams_interface=none "$work/ntfs" "$work/mnt"
for folder in System32/config System32/drivers System32/CodeIntegrity servicing/Packages System32/Sysprep/Panther Boot WinSxS INF \
    System32/DriverStore/FileRepository Panther SoftwareDistribution; do
    mkdir -p "$work/mnt/Windows/$folder"
done
mkdir -p "$work/mnt/Boot" "$work/mnt/EFI/Microsoft/Boot" "$work/mnt/Program Files" "$work/mnt/ProgramData/aliyun/assist/2.1.4.965" \
    "$work/mnt/Users/Public/Desktop" "$work/mnt/Users/Administrator/Documents" "$work/mnt/Users/Administrator/.ssh" \
    "$work/mnt/many" "$work/mnt/compressed" "$work/mnt/deep/a/b/c"
for number in $(seq 300); do printf 'file %d\n' "$number" >"$work/mnt/many/A File With A Long Name, number $number.txt"; done
for number in $(seq 3 3 300); do rm "$work/mnt/many/A File With A Long Name, number $number.txt"; done
setfattr -n system.ntfs_attrib_be -v 0x00000810 "$work/mnt/compressed"
lines 'a line of a text that compresses well' 500000 >"$work/mnt/compressed/text"
python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(1).randbytes(70001))' >"$work/mnt/compressed/noise"
lines 'resident' 100 >"$work/mnt/deep/a/b/c/ümläut-名前"
for number in $(seq 40); do
    printf '%04096d' "$number" | dd of="$work/mnt/deep/fragments" bs=4096 seek=$((number * 2)) conv=notrunc status=none
    printf '%04096d' "$number" >"$work/mnt/deep/between-$number"
done
describe "$work/mnt" >"$work/ntfs.json"
umount "$work/mnt"
xz -9e -c "$work/ntfs.json" >"$here/ntfs.json.xz"
xz -9e -c "$work/ntfs" >"$here/ntfs.img.xz"
ls -l "$here"
