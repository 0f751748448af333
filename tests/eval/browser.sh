#!/bin/bash
# browser.sh [REPORT.html ...] - do reports show what they should? Opens each in headless Chromium, at a phone's width and at a desk's, and expects: its sections, in
# each figure curves, bars or a word that there are none, no number that is none, nothing loaded from anywhere, nothing wider than the page, no label cut
# off or over another one. Without a name it makes two reports from a synthetic stream, where the number of curves is known, and takes those of $BUILD/eval
# with them; KEEP=FOLDER keeps the two and their pictures. Skipped where there is no Chromium (CHROMIUM names one).
set -eu
BUILD=${BUILD:-build}
for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
	[ -z "$browser" ] || ! command -v "$browser" >/dev/null || break
	browser=
done
[ -n "$browser" ] || { echo "browser.sh: no Chromium here (CHROMIUM names one; Debian: apt-get install chromium): skipped"; exit 0; }
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 130' INT TERM HUP
failed=0
fail() { echo "browser.sh: $*" >&2; failed=1; }

# What the page itself is asked, in a copy that tells its parent. A box that scrolls may hold what is wider than the page.
cat >"$TMP/ask.html" <<'E2'
<script>
addEventListener("load", function () {
	var wide = [], cut = [], over = [], empty = [], all = function (q, e) { return Array.from((e || document).querySelectorAll(q)) };
	all("body *").forEach(function (e) {
		var box = e.parentElement && e.parentElement.closest(".scroll, pre"), r = e.getBoundingClientRect();
		if (!box && (r.right > innerWidth + 1 || r.left < -1)) wide.push(e.tagName + " " + e.textContent.slice(0, 20));
	});
	all("figure").forEach(function (f) {
		var svg = f.querySelector("svg"), name = f.querySelector("b").textContent;
		if (!svg) { if (!/no data/.test(f.textContent)) empty.push(name); return; }
		if (!svg.querySelector("polyline, circle, rect")) empty.push(name);
		var s = svg.getBoundingClientRect(), boxes = all("text", svg).map(function (t) { return [t.textContent, t.getBoundingClientRect()] });
		boxes.forEach(function (a, i) {
			if (a[1].left < s.left - 1 || a[1].right > s.right + 1 || a[1].top < s.top - 1 || a[1].bottom > s.bottom + 1) cut.push(name + ": " + a[0]);
			boxes.slice(i + 1).forEach(function (b) {
				if (a[1].left < b[1].right - 1 && b[1].left < a[1].right - 1 && a[1].top + 3 < b[1].bottom - 3 && b[1].top + 3 < a[1].bottom - 3) over.push(name + ": " + a[0] + " / " + b[0]);
			});
		});
	});
	var hidden = all(".scroll").filter(function (e) { return e.scrollWidth > e.clientWidth + 1 }).length;
	var first = all("figure svg").find(function (s) { return s.querySelector(".curve, .dot") });
	parent.postMessage([["width", innerWidth], ["page", document.documentElement.scrollWidth], ["wide", wide.slice(0, 3)], ["cut", cut.slice(0, 3)], ["over", over.slice(0, 3)],
		["empty", empty.slice(0, 3)], ["sections", all("h2").map(function (h) { return h.textContent }).join("|")], ["figures", all("figure").length], ["tables", all("table").length],
		["hidden", hidden], ["keys", all(".key span").length], ["first", first ? new Set(all(".curve, .dot", first).map(function (p) { return p.getAttribute("class").split(" ")[1] })).size : 0],
		["none", (document.body.innerText + all("svg *").map(function (e) { return Array.from(e.attributes).map(function (a) { return a.value }).join(" ") }).join(" ")).match(/\b(nan|infinity|inf|undefined)\b/i) || ""],
		["loaded", performance.getEntriesByType("resource").length]].map(function (p) { return p.join("=") }).join("\n"), "*");
});
</script>
E2
cat >"$TMP/frames.html" <<'E2'
<!DOCTYPE html><meta charset="utf-8"><body><iframe src="page.html" width="390" height="844" style="border:0"></iframe><iframe src="page.html" width="1280" height="900" style="border:0"></iframe><pre id="said"></pre>
<script>addEventListener("message", function (m) { document.getElementById("said").textContent += m.data + "\nend\n" })</script>
E2

run_browser() { # --no-sandbox: root has none
	timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync \
		--user-data-dir="$TMP/profile" "$@" 2>"$TMP/browser.log"
}
# look REPORT SECTIONS: SECTIONS as joined by |, or nothing
look() {
	local name=$1 sections=$2
	! grep -Eiq '<(script|img|link|iframe|object|embed)|https?:|url\(|@import' "$name" || fail "$name names something outside"
	{ cat "$name"; cat "$TMP/ask.html"; } >"$TMP/page.html"
	run_browser --virtual-time-budget=10000 --dump-dom "file://$TMP/frames.html" | sed -n '/<pre id="said">/,/<\/pre>/p' | sed 's/.*<pre id="said">//; s/&amp;/\&/g' >"$TMP/said"
	[ "$(grep -c '^end' "$TMP/said")" = 2 ] || { fail "$name: the browser says nothing"; tail -n 3 "$TMP/browser.log" >&2; return; }
	awk -F= -v name="$name" -v sections="$sections" '
		function bad(what) { print "browser.sh: " name " at " x["width"] ": " what; failed = 1 }
		$1 == "end" {
			if (x["page"] + 0 > x["width"] + 0 || x["wide"] != "") bad("wider than the page: " x["page"] " " x["wide"])
			if (x["cut"] != "") bad("cut off: " x["cut"])
			if (x["over"] != "") bad("one over the other: " x["over"])
			if (x["empty"] != "") bad("an empty figure: " x["empty"])
			if (x["none"] != "") bad("a number that is none: " x["none"])
			if (x["width"] + 0 > 1000 && x["hidden"] != 0) bad(x["hidden"] " tables are not seen whole")
			if (x["loaded"] != 0) bad(x["loaded"] " things were loaded")
			if (sections != "" && x["sections"] != sections) bad("sections are " x["sections"])
			if (x["figures"] == 0 || x["tables"] == 0) bad("no figure or no table")
			if (x["keys"] != 0 && x["first"] != x["keys"]) bad(x["first"] " curves for " x["keys"] " names in the key")
			print "ok " name " at " x["width"] ": " x["figures"] " figures, " x["tables"] " tables, " (x["keys"] ? x["first"] " curves in the first" : "no key")
			delete x
			next
		}
		{ i = index($0, "="); x[substr($0, 1, i - 1)] = substr($0, i + 1) }
		END { exit failed }' "$TMP/said" || failed=1
}

if [ $# -gt 0 ]; then
	for report; do look "$report" ""; done
	exit $failed
fi
small="--width 16 --heads 2 --layers 1 --prototypes 12 --threads 1 --learning.rate 0.005 --warmup.steps 0"
"$BUILD/s4rec" generate --events 6000 --users 300 --items 80 --interests 4 --malformed 0 >"$TMP/events.jsonl" 2>"$TMP/out"
# shellcheck disable=SC2086 # options are words
"$BUILD/s4rec" eval prequential "$TMP/events.jsonl" $small --batch.users 16 --eval.window.ms 300000 --eval.retrain.ms 600000 --report "$TMP/stream.html" >"$TMP/out" 2>&1 || { cat "$TMP/out" >&2; exit 1; }
awk 'BEGIN { for (u = 0; u < 300; u++) { printf "u%d", u; for (i = 0; i < 6 + u % 25; i++) printf " i%d", (u * 7 + i) % 60; print "" } }' >"$TMP/sequences.txt"
# shellcheck disable=SC2086
"$BUILD/s4rec" eval loo "$TMP/sequences.txt" $small --batch.users 32 --epochs 4 --report "$TMP/loo.html" >"$TMP/out" 2>&1 || { cat "$TMP/out" >&2; exit 1; }
look "$TMP/stream.html" "Means|Over event time|Prototypes|Options"
look "$TMP/loo.html" "Test|Epochs|Prototypes|Length of the history|Options"
for report in "$BUILD"/eval/*.html; do
	[ ! -e "$report" ] || look "$report" ""
done
if [ -n "${KEEP:-}" ]; then # the two reports, and what they look like
	cp "$TMP/stream.html" "$TMP/loo.html" "$KEEP"
	for width in 500 1280; do
		for report in stream loo; do
			run_browser --hide-scrollbars --window-size=$width,6000 --screenshot="$KEEP/$report-$width.png" "file://$TMP/$report.html" >/dev/null
		done
	done
fi
exit $failed
