#!/usr/bin/env bash
# How the rpm databases of this folder were made (rpm 4.18, Berkeley DB 5.3; Debian's packages rpm, db5.3-util, sqlite3 and gpg).
# rpm builds small packages and installs them into a root of their own; rpm-qa.xz is its own list of them.
# Debian's rpm writes sqlite only. Berkeley DB's own db_load makes the older hash of the same headers; an ndb is in
# tests/images, of SUSE's making.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GNUPGHOME="$work/gpg" SOURCE_DATE_EPOCH=1700000000
mkdir -m 700 "$GNUPGHOME"

spec() { # NAME, VERSION, RELEASE, EPOCH OR NOTHING, FURTHER LINES OF ITS HEAD; on standard input: the rest
    local file="$work/$1-$2.spec"
    printf 'Name: %s\nVersion: %s\nRelease: %s\n%sSummary: Übersicht of %s\nLicense: none\n%s\n%%description\n%s\n' \
        "$1" "$2" "$3" "${4:+Epoch: $4$'\n'}" "$1" "${5-}" "$1" >"$file"
    cat >>"$file"
    rpmbuild -bb --quiet --define "_topdir $work/build" --define '_build_id_links none' --define '_buildhost builder' \
        --define 'use_source_date_epoch_as_buildtime 1' --define 'optflags -O0' "$file" >/dev/null 2>&1
}
spec kernel 6.1.0 1.el9 '' '' <<'END'
%files
END
spec kernel 6.1.0 2.el9 '' '' <<'END'
%files
END
spec openssl 3.0.7 27.el9 1 '' <<'END'
%package libs
Summary: libraries
%description libs
libraries
%package perl
Version: 9.1
Summary: of a version of its own
BuildArch: noarch
%description perl
perl
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64
echo x >%{buildroot}/usr/bin/openssl; echo x >%{buildroot}/usr/lib64/libssl.so
chmod 4755 %{buildroot}/usr/bin/openssl
%files
/usr/bin/openssl
%files libs
/usr/lib64/libssl.so
%files perl
END
# Many files: a header of many pages.
spec tzdata 2024a '1~rc1^git5.el9' '' 'BuildArch: noarch' <<'END'
%install
mkdir -p %{buildroot}/usr/share/zoneinfo
for number in $(seq 3000); do echo $((number % 7)) >%{buildroot}/usr/share/zoneinfo/a-zone-of-some-name-$number; done
%files
/usr/share/zoneinfo
END
for number in $(seq 60); do
    spec "small-$number" "1.$number" 1 '' 'BuildArch: noarch' <<<'%files'
done
gpg --batch --quiet --passphrase '' --quick-generate-key builder@example.com rsa2048 sign never 2>/dev/null
gpg --armor --export >"$work/key"

mkdir "$work/root"
options=(--root "$work/root" --dbpath /db --define '_db_backend sqlite')
rpm "${options[@]}" --initdb
rpmkeys "${options[@]}" --import "$work/key"
rpm --force-debian "${options[@]}" -i --justdb --nodeps --nosignature --ignorearch "$work"/build/RPMS/*/*.rpm
rpm --force-debian "${options[@]}" -e --justdb small-7 small-8
rpm "${options[@]}" -qa --qf '%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\n' | sort >"$work/rpm-qa"
{
    printf 'VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n'
    sqlite3 "$work/root/db/rpmdb.sqlite" "SELECT ' ' || lower(hex(hnum)), ' ' || lower(hex(blob)) FROM Packages ORDER BY hnum" |
        awk -F'|' '{ printf " %08x\n%s\n", NR, $2 } END { print " 00000000\n 4b000000" }'
    printf 'DATA=END\n'
} | db5.3_load "$work/Packages"
db5.3_verify -q "$work/Packages"
xz -9e -c "$work/root/db/rpmdb.sqlite" >"$here/rpmdb.sqlite.xz"
xz -9e -c "$work/Packages" >"$here/Packages.xz"
xz -9e -c "$work/rpm-qa" >"$here/rpm-qa.xz"
ls -l "$here"
