#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs the build into a scratch root and uses only what lies there: a C program built through
# pkg-config and a Python ctypes script exchange data in both directions.
# usage: installed_tree.sh BUILD_DIR MESON PYTHON   (C compiler: $CC)
set -eu

build=$1 meson=$2 python=$3
here=$(cd "$(dirname "$0")" && pwd)
source=$here/../..
root=$(mktemp -d)
name=abi-$$

clean_up() {
	[ -z "${libdir:-}" ] ||
		"$python" "$here/consumer.py" "$libdir/libzeroipc.so.0" remove "$name" 2>/dev/null || true
	rm -rf "$root"
}
trap clean_up EXIT

fail() {
	echo "installed_tree: $*" >&2
	exit 1
}

# ---- install ----

$meson install -C "$build" --no-rebuild --quiet --destdir "$root"
pc=$(find "$root" -name zeroipc.pc)
[ -n "$pc" ] || fail 'zeroipc.pc is not installed'
libdir=$(dirname "$(dirname "$pc")")
[ -e "$libdir/libzeroipc.so" ] || fail 'libzeroipc.so is not installed'
[ -e "$libdir/libzeroipc.so.0" ] || fail 'libzeroipc.so.0 is not installed'
diff -r "$source/include" "$(dirname "$(find "$root" -name zeroipc.h)")" ||
	fail 'the installed headers are not those of the source tree'
tool=$(find "$root" -path '*/bin/zeroipc')
[ -x "$tool" ] || fail 'the zeroipc tool is not installed'
export LD_LIBRARY_PATH="$libdir"
"$tool" --help >/dev/null || fail 'the installed tool does not run'

# ---- build a stranger's program ----

export PKG_CONFIG_PATH="$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
pkg-config --exact-version="$(sed -n 's/^Version: //p' "$pc")" zeroipc || fail 'pkg-config fails'
strict='-std=c99 -pedantic -Wall -Wextra -Werror'
flags=$(pkg-config --cflags --libs zeroipc)
$CC $strict -o "$root/consumer" "$here/consumer.c" $flags
for example in "$source"/examples/*.c; do
	$CC $strict -o "$root/example" "$example" $flags || fail "$example does not build"
done

in_c() {
	timeout 30 "$root/consumer" "$1" "$2" || fail "consumer.c $1 failed"
}
in_python() {
	timeout 30 "$python" "$here/consumer.py" "$libdir/libzeroipc.so.0" "$1" "$2" ||
		fail "consumer.py $1 failed"
}

# ---- one language makes, the other takes ----

for pair in 'c python' 'python c' 'c c' 'python python'; do
	maker=${pair% *} taker=${pair#* }
	in_$maker make "$name"
	in_$taker take "$name"
	in_python remove "$name"
done

# ---- a plain cat from one process to another ----

cat "$here"/* "$libdir/libzeroipc.so.0" >"$root/sent"
for pair in 'c python' 'python c'; do
	sender=${pair% *} receiver=${pair#* }
	(in_$receiver receive "$name" >"$root/received") &
	in_$sender send "$name" <"$root/sent"
	wait $! || fail "receiving in $receiver failed"
	cmp "$root/sent" "$root/received" || fail "$sender to $receiver: other bytes arrived"
	in_python remove "$name"
done
# ---- the example in Python ----

said=$(timeout 30 "$python" "$source/examples/hello.py") || fail 'examples/hello.py failed'
[ "$(echo $said)" = 'hello from another process' ] || fail "examples/hello.py said: $said"

echo "C and Python exchanged numbers, squares and $(wc -c <"$root/sent") bytes"
