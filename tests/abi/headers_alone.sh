#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, and twice in one file, as strict C99 and as C++11.
# usage: headers_alone.sh INCLUDE_DIR   (compilers: $CC; $CXX, may be empty)
set -eu

include=$1
warnings='-pedantic -Wall -Wextra -Wshadow -Werror'
failed=0

compile() { # compiler and options, header
	printf '#include "%s"\n#include "%s"\n' "$2" "$2" |
		$1 $warnings -fsyntax-only "-I$include" - || {
		echo "$2: does not compile alone with $1"
		failed=1
	}
}

for header in $(cd "$include" && find . -name '*.h' -printf '%P\n'); do
	compile "$CC -x c -std=c99 -Wstrict-prototypes" "$header"
	if [ -n "${CXX:-}" ]; then
		compile "$CXX -x c++ -std=c++11" "$header"
	fi
done
[ -n "${CXX:-}" ] || echo 'no C++ compiler: C++11 was not tried'
exit $failed
