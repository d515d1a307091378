# Shared by the boot tests. Each script runs from anywhere: script RINGFENCE [arguments].
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
trap '[[ -n ${KEEP:-} ]] || rm -rf "$work"' EXIT
checks=0 failures=0

check() { # check DESCRIPTION COMMAND...
	local what=$1
	shift
	checks=$((checks + 1))
	if ! "$@"; then
		echo "FAIL $what"
		failures=$((failures + 1))
	fi
}

finish() {
	echo "$checks checks, $failures failed"
	[[ $failures == 0 && $checks -gt 0 ]]
	exit
}

# Did user code run directly? True as well where the host does not let it, which is told. STATISTICS are of -d stats.
ran_directly() { # ran_directly STATISTICS MESSAGES
	if grep "runs translated, not directly: " "$2"; then
		return 0
	fi
	awk '$1 == "world_entries" { n = $2 } END { exit !(n > 0) }' "$1"
}

# The directory with Debian's kernels; a test that needs them is skipped (status 77) when they cannot be had.
linux_guest() {
	local dir
	"$here/../../scripts/guest" >"$work/guest.log" 2>&1
	dir=$("$here/../../scripts/guest" --print-dir)
	if [[ ! -f $dir/SHA256SUMS ]]; then
		echo "skipped: no Debian kernels: $(tail -n 1 "$work/guest.log")"
		exit 77
	fi
	echo "$dir"
}
