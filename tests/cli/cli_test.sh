#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Tests of the zeroipc tool: every command, exit codes, messages, JSON, pipes, Ctrl-C, the demo.
# usage: cli_test.sh PATH_OF_ZEROIPC [PART...]     prints TAP, and a sum at the end
set -u

tool=$(realpath "${1:?usage: cli_test.sh PATH_OF_ZEROIPC [PART...]}")
shift
tmp=$(mktemp -d)
seg=clitest-$$
passed=0
failed=0

# Whatever happens, nothing is left behind.
clean_up() {
	local name
	for name in $("$tool" list 2>/dev/null | awk -v p="$seg" 'index($1, p) == 1 { print $1 }'); do
		"$tool" rm --segment "$name"
	done
	rm -rf "$tmp"
}
trap clean_up EXIT

# ---- what a test says ----

report() { # ok or not, description
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $2"
	else
		failed=$((failed + 1))
		echo "not ok $((passed + failed)) - $2"
		printf '# exit code %s\n' "${rc-}"
		[ ! -f "$tmp/out" ] || head -c 2000 "$tmp/out" | sed 's/^/# out: /'
		[ ! -f "$tmp/err" ] || head -c 2000 "$tmp/err" | sed 's/^/# err: /'
	fi
}

# Runs the tool; leaves exit code, $tmp/out and $tmp/err.
run() {
	timeout -k 5 60 "$tool" "$@" >"$tmp/out" 2>"$tmp/err"
	rc=$?
}

ends_with() { # exit code, description
	[ "$rc" = "$1" ]
	report $? "$2: exit code $1"
}

prints() { # text of stdout, description
	[ "$(cat "$tmp/out")" = "$1" ]
	report $? "$2"
}

has() { # out or err, pattern, description
	grep -Eq -- "$2" "$tmp/$1"
	report $? "$3"
}

is_empty() { # out or err, description
	[ ! -s "$tmp/$1" ]
	report $? "$2: nothing on std$1"
}

is_json() { # description
	python3 -m json.tool <"$tmp/out" >/dev/null
	report $? "$1: one JSON document"
}

is_json_lines() { # description
	[ -s "$tmp/out" ] && python3 -m json.tool --json-lines <"$tmp/out" >/dev/null
	report $? "$1: one JSON object per line"
}

# true when the Python expression over the JSON document d holds
json_says() { # expression, description
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$tmp/out" "$1" 2>>"$tmp/err"
	report $? "$2"
}

# A shell in the background ignores Ctrl-C, and what it starts would too.
with_signals() {
	exec python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$tool" "$@"
}

wait_for_peer() { # segment: until somebody is attached
	local i
	for i in $(seq 200); do
		"$tool" show "$1" --json 2>/dev/null | grep -q '"alive":true' && return 0
		sleep 0.05
	done
	return 1
}

in_time() { # pid: waits for it, at most 20 s; leaves rc
	local i
	for i in $(seq 400); do
		kill -0 "$1" 2>/dev/null || break
		sleep 0.05
	done
	kill -9 "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	rc=$?
}

# ---- parts ----

part_help() {
	local command
	run
	ends_with 2 "no command"
	has out '^usage: zeroipc' "no command prints usage"
	run --help
	ends_with 0 "--help"
	run help --json
	is_json "help"
	for command in list show cat push pop set create rm shutdown gc verify demo help; do
		run "$command" --help
		ends_with 0 "$command --help"
		has out "^usage: zeroipc $command" "$command --help has a usage line"
		[ "$command" = help ] || has out "^  zeroipc $command" "$command --help has an example"
		run help "$command" --json
		is_json "help $command"
	done
	run --version
	has out '^zeroipc [0-9]+\.[0-9]+\.[0-9]+ ' "--version"
	run --version --json
	is_json "--version"
	run shwo
	ends_with 2 "unknown command"
	has err "did you mean 'show'" "unknown command gets a suggestion"
	run help nothing-like-it
	ends_with 2 "help of an unknown command"
}

part_usage() {
	run show
	ends_with 2 "show without a segment"
	run show a b
	ends_with 2 "show with two segments"
	run show a --jsno
	ends_with 2 "unknown option"
	has err "did you mean '--json'" "unknown option gets a suggestion"
	run show a --kill 3
	ends_with 2 "option of another command"
	run pop a/b -n
	ends_with 2 "option without its value"
	run pop a/b -n many
	ends_with 2 "count that is no number"
	run pop a/b --wait soon
	ends_with 2 "seconds that are none"
	run pop a/b --format u63
	ends_with 2 "unknown format"
	run pop a/b --follow=yes
	ends_with 2 "flag with a value"
	run create a --size 5X
	ends_with 2 "unknown unit"
	run create a --mode 999
	ends_with 2 "mode that is not octal"
	run create a --element-size 8
	ends_with 2 "segment with elements"
	run create a/b --type heap -e 8 -c 8
	ends_with 2 "unknown type"
	run create a/b --type queue -c 8
	ends_with 2 "queue without element size"
	run create a/b --type queue -e 8
	ends_with 2 "queue without capacity"
	run create a/b --type array -e 8 -c 8 --at-least-once
	ends_with 2 "array at least once"
	run demo --workers 0
	ends_with 2 "demo without workers"
	run demo --workers 65
	ends_with 2 "demo with too many workers"
	run set "$seg/a" 0
	ends_with 2 "set without a value"
}

part_segments() {
	run create "$seg" --max-size 64M --max-peers 32
	ends_with 0 "create a segment"
	is_empty out "create"
	run create "$seg"
	ends_with 1 "create it again"
	has err "$seg" "the message names it"
	run create "$seg-json" --json
	is_json "create"
	run list
	ends_with 0 "list"
	has out "^$seg " "list shows it"
	run list --json
	is_json "list"
	json_says "[s for s in d if s['name'] == '$seg'][0]['max_peers'] == 32" "list has the limit"
	run show "$seg"
	ends_with 0 "show"
	has out "may grow to 64.0 MiB" "show has the limit"
	run show "$seg" --json
	is_json "show"
	json_says "d['segment']['name'] == '$seg' and d['structures'] == []" "show names the segment"
	run show "${seg}x"
	ends_with 1 "show of a segment that is not there"
	has err "no segment '${seg}x'; did you mean '$seg'" "a suggestion"
	run show "/no/such/file"
	ends_with 1 "show of a file that is not there"
	run verify "$seg"
	ends_with 0 "verify"
	prints sound "verify says sound"
	run verify "$seg" --json
	is_json "verify"
	json_says "d['sound'] and d['problems'] == []" "verify --json says sound"
	run create "$seg-open" --mode 0666
	run show "$seg-open"
	ends_with 1 "a segment that everybody may write to is refused"
	has err "--trust" "the message says how to open it"
	run show "$seg-open" --trust
	ends_with 0 "show --trust"
	run rm "$seg-open"
	ends_with 0 "rm of it"
	run gc "$seg"
	ends_with 0 "gc"
	run gc "$seg" --json
	is_json "gc"
	run rm "$seg-json" --json
	is_json "rm"
	run rm "$seg-json"
	ends_with 1 "rm of what is not there"
	run rm "$seg" "$seg-json"
	ends_with 1 "rm of two, one of them not there"
	run show "$seg"
	ends_with 1 "the other one is gone"
}

part_files() {
	local path=$tmp/segment.zipc
	run create "$path"
	ends_with 0 "create in a file"
	run create "$path/numbers" -t array -f u32 -c 4
	ends_with 0 "create an array in a file"
	run set "$path/numbers" 1 10 20
	ends_with 0 "set"
	run cat "$path/numbers"
	prints $'0\n10\n20\n0' "cat of an array in a file"
	run show "$path" --json
	is_json "show of a file"
	json_says "d['segment']['backing'] == 'file'" "it is a file"
	(cd "$tmp" && "$tool" cat ./segment.zipc/numbers -n 2) >"$tmp/out" 2>"$tmp/err"
	prints $'0\n10' "a relative path"
	(cd "$tmp" && "$tool" show segment.zipc) >"$tmp/out" 2>"$tmp/err"
	has err "write './segment.zipc'" "a hint for a path without ./"
	echo "this is no segment" >"$tmp/text"
	run show "$tmp/text"
	ends_with 1 "show of a file that is no segment"
	has err . "and a message"
	run rm "$tmp/text"
	ends_with 1 "rm of a file that is no segment"
	[ -f "$tmp/text" ]
	report $? "the file is still there"
	run rm "$path"
	ends_with 0 "rm of a file"
	[ ! -e "$path" ]
	report $? "the file is gone"
}

part_names() {
	"$tool" create "$seg/a"
	"$tool" create "$seg/a/b"
	"$tool" create "$seg/a//b/c" -t array -f u8 -c 1
	"$tool" create "$seg/a/b/c" -t array -f u8 -c 2
	run cat "$seg/a/b/c"
	prints $'0\n0' "the longest segment wins"
	run cat "$seg/a//b/c"
	prints 0 "// says where the segment ends"
	run show "$seg/a/b"
	has out "segment '$seg/a/b'" "show takes the whole as a segment first"
	"$tool" create "$seg/a//b" -t array -f u8 -c 3
	run rm "$seg/a/b"
	ends_with 1 "rm refuses a name that means two things"
	run rm "$seg/a//b"
	ends_with 0 "rm of the structure"
	run rm --segment "$seg/a/b"
	ends_with 0 "rm of the segment"
	run cat "$seg/a/b/c"
	prints 0 "now the shorter segment is meant"
	run cat "$seg/a"
	ends_with 1 "cat of a segment"
	has err "is a segment; name a structure in it.*b/c" "it says what there is"
	run cat "$seg/a/b/d"
	ends_with 1 "cat of what is not there"
	has err "did you mean 'b/c'" "a suggestion for a structure"
	run cat "$seg-nothing/at/all"
	ends_with 1 "cat in a segment that is not there"
	"$tool" rm "$seg/a"
}

part_arrays() {
	"$tool" create "$seg"
	run create "$seg/f" -t array -f f64 -c 3 --json
	is_json "create an array"
	run create "$seg/f" -t array -f f64 -c 3
	ends_with 1 "create it again"
	run set "$seg/f" 0 1.5 -2.25 nan --json
	is_json "set"
	run cat "$seg/f"
	prints $'1.5\n-2.25\nnan' "numbers with a point"
	run cat "$seg/f" --json
	is_json_lines "cat of an array"
	has out '"index":1,"value":-2.25' "index and value"
	run cat "$seg/f" -f u16
	ends_with 0 "another format"
	run cat "$seg/f" --first 1 -n 1
	prints -2.25 "a part of it"
	run cat "$seg/f" --first 3
	ends_with 1 "behind the end"
	run set "$seg/f" 3 1
	ends_with 1 "set behind the end"
	run set "$seg/f" x 1
	ends_with 2 "set of an index that is none"
	run set "$seg/f" 0 one
	ends_with 1 "set of a number that is none"
	"$tool" create "$seg/t" -t array -e 16 -c 3
	"$tool" set "$seg/t" 0 hello "two words"
	run cat "$seg/t"
	prints $'hello\ntwo words' "text shows as lines"
	"$tool" set "$seg/t" 2 -f hex 000102030405060708090a0b0c0dfeff
	run cat "$seg/t"
	has out '^00000020  00 01 02 .*\|\.+\|$' "what is not text shows as a dump"
	run cat "$seg/t" --json -f text
	is_json_lines "bytes that are no UTF-8"
	run set "$seg/t" 0 "longer than sixteen bytes"
	ends_with 1 "text that is too long"
	has err "25 bytes.* only 16" "it says how much too long"
	run cat "$seg/t" -f f32
	ends_with 0 "several numbers in an element"
	"$tool" create "$seg/odd" -t array -e 7 -c 1
	run cat "$seg/odd" -f u32
	ends_with 1 "a format that does not fit"
	run push "$seg/f" 1
	ends_with 1 "push to an array"
	has err "array; this needs a queue" "it says why"
	run show "$seg" --json
	is_json "show"
	json_says "[s['type'] for s in d['structures']] == ['array'] * 3" "show lists three arrays"
	run rm "$seg/odd"
	ends_with 0 "rm of an array"
	run cat "$seg/odd"
	ends_with 1 "it is gone"
	"$tool" rm "$seg"
}

part_queues() {
	"$tool" create "$seg"
	run create "$seg/q" -t queue -e 16 -c 4 --schema "a word"
	ends_with 0 "create a queue"
	run push "$seg/q" one two three
	ends_with 0 "push"
	is_empty out "push"
	run show "$seg"
	has out 'q +queue +16 B +4 +75 %' "show has the fill"
	run show "$seg/q" --json
	is_json "show of one structure"
	json_says "d['structures'][0]['queue']['pushed'] == 3" "show has the number"
	run cat "$seg/q"
	ends_with 0 "cat of a queue"
	prints one "cat shows the head"
	has err "3 items waiting" "cat says how many wait"
	run cat "$seg/q" --json
	is_json "cat of a queue"
	json_says "d['head'] == 'one' and d['waiting'] == 3" "cat --json has both"
	run pop "$seg/q"
	prints one "pop"
	run pop "$seg/q" -n 3
	ends_with 1 "pop of more than there is"
	prints $'two\nthree' "it prints what there was"
	has err "got 2 of 3" "it says so"
	run pop "$seg/q"
	ends_with 1 "pop of an empty queue"
	run pop "$seg/q" --wait 0.2
	ends_with 1 "pop that waits"
	run pop "$seg/q" --all
	ends_with 0 "pop --all of an empty queue"
	run cat "$seg/q"
	ends_with 0 "cat of an empty queue"
	run cat "$seg/q" --json
	json_says "d['head'] is None" "cat --json of an empty queue"
	run push "$seg/q" 1 2 3 4 5 --json
	ends_with 1 "push into a full queue"
	has err "full \(4 items\)" "it says so"
	has err "4 items were pushed" "it says how many arrived"
	is_json "push"
	run push "$seg/q" 6 --wait 0.2
	ends_with 1 "push that waits"
	run pop "$seg/q" --all --json
	is_json_lines "pop"
	run push "$seg/q" "this one is too long"
	ends_with 1 "push of an item that is too long"
	run push "$seg/q" -- --dashes -5
	ends_with 0 "push of what looks like options"
	run pop "$seg/q" -n 2
	prints $'--dashes\n-5' "they arrived"
	run push "$seg/q" -f hex 00ff00ff00ff00ff00ff00ff00ff00ff
	run pop "$seg/q" --json -f text
	is_json_lines "an item that is no UTF-8"
	run push "$seg/q" last
	run shutdown "$seg/q" --json
	is_json "shutdown"
	run push "$seg/q" more
	ends_with 1 "push after shutdown"
	has err "shut down" "it says so"
	run pop "$seg/q" --follow
	ends_with 0 "pop --follow ends with the queue"
	prints last "what was there is delivered"
	run pop "$seg/q"
	ends_with 1 "pop after the end"
	run rm "$seg/q" --json
	is_json "rm"
	"$tool" create "$seg/p" -t queue -f i32 -e 8 -c 4 --single-producer --single-consumer
	run push "$seg/p" -- "1 -2" -3,4
	ends_with 0 "two numbers in an item"
	run pop "$seg/p" -n 2
	prints $'1 -2\n-3 4' "they come out the same"
	run push "$seg/p" 1
	ends_with 1 "one number where two are needed"
	run push "$seg/p" "1 5000000000"
	ends_with 1 "a number that is too large"
	"$tool" rm "$seg"
}

part_pipes() {
	"$tool" create "$seg"
	"$tool" create "$seg/n" -t queue -f u64 -c 64 --at-least-once
	# More than fits: push waits for pop.
	seq 5000 | timeout 60 "$tool" push "$seg/n" &
	run pop "$seg/n" -n 5000 --wait 20
	ends_with 0 "pop at the other end of a pipe"
	[ "$(sha256sum <"$tmp/out")" = "$(seq 5000 | sha256sum)" ]
	report $? "5000 items through a queue of 64, in order"
	wait $!
	report $? "push ended well"
	seq 10 | "$tool" push "$seg/n" -
	(sleep 0.5 && "$tool" pop "$seg/n" --follow 2>"$tmp/err") | true
	[ "${PIPESTATUS[0]}" = 1 ]
	report $? "pop ends when its reader has left"
	is_empty err "a reader that leaves"
	run pop "$seg/n" --all --json
	has out '"value":1,"deliveries":2' "what the reader did not get comes back"
	[ "$(grep -c '"deliveries":1' "$tmp/out")" = 9 ]
	report $? "nothing was lost"
	"$tool" create "$seg/b" -t queue -e 4 -c 8
	printf 'abcdefgh' | "$tool" push "$seg/b" -f raw
	"$tool" pop "$seg/b" --all -f raw >"$tmp/out"
	prints abcdefgh "raw bytes"
	printf 'abcdef' | "$tool" push "$seg/b" -f raw 2>"$tmp/err"
	[ $? = 1 ]
	report $? "half an item at the end is refused"
	"$tool" help >/dev/full 2>"$tmp/err"
	[ $? = 1 ]
	report $? "output that cannot be written is a failure"
	has err "cannot write" "it says so"
	"$tool" help | head -n 1 >/dev/null 2>&1
	[ "${PIPESTATUS[0]}" -le 1 ]
	report $? "a reader that leaves kills nobody"
	"$tool" rm "$seg"
}

part_signals() {
	"$tool" create "$seg"
	"$tool" create "$seg/q" -t queue -e 16 -c 1
	with_signals pop "$seg/q" --follow >"$tmp/out" 2>"$tmp/err" &
	wait_for_peer "$seg"
	run show "$seg"
	has out 'alive +[a-z0-9]+ +zeroipc' "show lists the waiting process"
	sleep 0.3
	kill -INT $!
	in_time $!
	ends_with 130 "Ctrl-C of pop"
	with_signals pop "$seg/q" --wait forever >"$tmp/out" 2>"$tmp/err" &
	wait_for_peer "$seg"
	sleep 0.3
	kill -TERM $!
	in_time $!
	ends_with 143 "SIGTERM of pop"
	"$tool" push "$seg/q" full
	with_signals push "$seg/q" more --wait 20 >"$tmp/out" 2>"$tmp/err" &
	wait_for_peer "$seg"
	sleep 0.3
	kill -INT $!
	in_time $!
	ends_with 130 "Ctrl-C of push into a full queue"
	sleep 20 | with_signals push "$seg/q" >"$tmp/out" 2>"$tmp/err" &
	wait_for_peer "$seg"
	sleep 0.3
	kill -INT $!
	in_time $!
	ends_with 130 "Ctrl-C of push that reads standard input"
	run show "$seg" --json
	json_says "not [p for p in d['peers'] if p['alive']]" "nobody is left"
	"$tool" rm "$seg"
}

# ---- the demo ----

demo() { # description, arguments...
	local what=$1
	shift
	run demo "$@" --json
	ends_with 0 "demo, $what"
	is_json "demo, $what"
	json_says "d['equal'] and d['lost'] == 0" "demo, $what: equal, nothing lost"
}

demo_segments() {
	"$tool" list 2>/dev/null | grep -o '^zeroipc-demo-[^ ]*' || true
}

# Segments of demos that run beside this test, or were killed before it, are not ours.
demos_before=$(demo_segments)

no_demo_left() { # description
	local name pid left=0
	for name in $(demo_segments); do
		pid=${name#zeroipc-demo-}
		pid=${pid%%-*}
		case " $demos_before " in *"$name"*) continue ;; esac
		kill -0 "$pid" 2>/dev/null || left=1
	done
	report $left "$1: no segment is left"
}

part_demo() {
	local pid
	yes "The quick brown fox jumps over the lazy dog; who is it?" | head -c 300000 >"$tmp/fox"
	demo "defaults" --rounds 1
	json_says "len(d['killed']) == 1 and d['redelivered'] >= 1" "one was killed, its block came back"
	demo "a file" "$tmp/fox"
	json_says "len(d['killed']) == 1" "one was killed"
	json_says "d['top'][0]['word'] == 'the'" "the most frequent word"
	demo "nobody killed" "$tmp/fox" --kill 0
	json_says "d['killed'] == [] and d['redelivered'] == 0" "nobody was killed"
	demo "all killed and more" "$tmp/fox" --kill 3 --workers 2
	json_says "len(d['killed']) == 3 and d['redelivered'] >= 3" "three were killed"
	demo "the only worker killed" "$tmp/fox" --kill 1 --workers 1
	json_says "len(d['killed']) == 1" "it was killed"
	demo "many workers" "$tmp/fox" --workers 16 --kill 8 --rounds 60
	json_says "len(d['killed']) == 8 and d['rounds'] == 60" "eight were killed"
	# 200,000 words on one line, and one word longer than several blocks
	{
		seq -f "word%.0f" -s ' ' 200000
		head -c 200000 /dev/zero | tr '\0' x
		echo
	} >"$tmp/long"
	demo "long lines" "$tmp/long" --kill 2
	head -c 400000 /dev/urandom >"$tmp/random"
	demo "bytes that are no text" "$tmp/random"
	: >"$tmp/empty"
	demo "an empty file" "$tmp/empty"
	json_says "d['blocks'] == 0 and d['words'] == 0" "nothing in it"
	printf 'no newline at the end' >"$tmp/short"
	demo "a short file" "$tmp/short" "$tmp/empty"
	json_says "d['words'] == 5 and len(d['killed']) == 1" "five words, and one was killed"
	run demo "$tmp/fox" "$tmp/short"
	ends_with 0 "demo for people"
	has out '^lost +0' "the table says lost 0"
	has out 'plain count .*: equal' "the table says equal"
	run demo "$tmp/fox" "$tmp/not-there"
	ends_with 1 "demo of a file that is not there"
	has err "not-there.*No such file" "it names the file"
	run demo "$tmp"
	ends_with 1 "demo of a directory"
	no_demo_left "after all of these"
	with_signals demo "$tmp/fox" --rounds 20000 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	sleep 1
	kill -INT $pid
	in_time $pid
	ends_with 130 "Ctrl-C of the demo"
	! pgrep -P $pid >/dev/null
	report $? "its processes are gone"
	no_demo_left "after Ctrl-C"
}

for part in ${*:-help usage segments files names arrays queues pipes signals demo}; do
	part_"$part"
done

left=$("$tool" list 2>/dev/null | awk -v p="$seg" 'index($1, p) == 1' | wc -l)
rc=$left
[ "$left" = 0 ]
report $? "the tests left no segment"
echo "1..$((passed + failed))"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
