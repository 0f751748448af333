# follow.awk - what `read --vectors 0` printed while a worker ran, against the reader's contract (topics/README.md). -v partitions=N.
# Each partition shows every version once, in order. When all have shown version v, all rows up to v are here and none comes later,
# and counted they are what v's record says. Says why not and leaves with 1; else prints the newest complete version.
# A delete has no version: it belongs to the version that is under way, or to one after it, and at the end all must have been counted.
function number(name) { return match($0, "\"" name "\":-?[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) + 0 : -1 }
function wrong(why) { if (!bad) print "line " NR ": " why ": " substr($0, 1, 300); bad = 1; exit 1 }
function check(v,   i, kind) {
	split("item user prototype", kinds, " ")
	for (i = 1; i <= 3; i++) {
		kind = kinds[i]
		live[kind] += fresh[kind, v]
		if (live[kind] - deleted[kind] == total[v, kind]) counted[kind] = deleted[kind]
		else if (live[kind] - counted[kind] != total[v, kind]) wrong(live[kind] - deleted[kind] " rows of kind " kind " at version " v ", its record says " total[v, kind])
		if (sum[v, kind] != total[v, kind]) wrong("the partitions hold " sum[v, kind] " " kind " rows of version " v ", in all there are " total[v, kind])
	}
	complete = v
}
BEGIN { FS = "\"" }
$4 != "model" {
	kind = substr($4, 1, index($4, "/") - 1)
	if (/"deleted":true/) { deleted[kind]++; next }
	v = number("version")
	if (v <= complete + 0) wrong("a row of version " v " after all partitions have shown " complete)
	if (!($4 in known)) { known[$4] = 1; fresh[kind, v]++ }
	next
}
{
	p = number("partition"); v = number("version")
	if (v != last[p] + 1) wrong("partition " p " shows version " v " after " last[p] + 0)
	last[p] = v
	sum[v, "item"] += number("items"); sum[v, "user"] += number("users"); sum[v, "prototype"] += number("prototypes")
	if (shown[v]++ && (total[v, "item"] != number("total_items") || total[v, "user"] != number("total_users"))) wrong("the partitions differ about version " v)
	total[v, "item"] = number("total_items"); total[v, "user"] = number("total_users"); total[v, "prototype"] = number("total_prototypes")
	if (shown[v] == partitions) check(v)
}
END {
	if (bad) exit 1
	for (p = 0; p < partitions; p++) if (last[p] != complete) wrong("partition " p " ends with version " last[p] + 0 ", complete is " complete)
	for (kind in deleted) if (deleted[kind] != counted[kind]) wrong(deleted[kind] " deletes of kind " kind ", no version counts more than " counted[kind] + 0)
	print complete
}
