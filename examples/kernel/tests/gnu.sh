# SPDX-License-Identifier: MIT
#
# gnu.sh: bash and GNU's tools, which are dynamically linked. Run in an empty
# directory; what it prints is the same on Linux.
set -o pipefail
declare -A map=([one]=1 [two]=2)
for key in "${!map[@]}"; do echo "$key=${map[$key]}"; done | sort
list=({1..20}); echo "${#list[@]} ${list[*]:5:3} $((list[3] ** 5))"
diff <(seq 5) <(seq 2 6); echo "$?"
[[ abc123 =~ ([a-z]+)([0-9]+) ]] && echo "${BASH_REMATCH[2]} ${BASH_REMATCH[1]}"
printf -v text '%s-%03d' x 7; echo "${text^^} ${text/x/y}"
coproc cat; echo to it >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"
echo "$line"; eval "exec ${COPROC[1]}>&-"; wait
seq 1000 | sort -R | sort -n | md5sum
seq 50000 | sort -r --parallel=2 | sha256sum
seq 100 | shuf | awk '{s += $1} END {print s}'
seq 10 | split -n r/3 --filter='paste -sd+' | sort
mkdir -p d/e; printf 'b\na\n' >d/e/f; cp -a d g; ls -R g
cmp d/e/f g/e/f && echo cmp
ls -l d/e | awk '{print $1, $2, $5, $NF}'
find . -type f -printf '%p %s %m\n' | sort; stat -c '%A %s %n' d/e/f
grep -rn b d; sed -i 's/b/c/' d/e/f; cat d/e/f
awk 'BEGIN {for (i = 0; i < 5; i++) a[i] = i * i
    for (i in a) s += a[i]
    print s}'
join <(printf '1 a\n2 b\n') <(printf '1 x\n2 y\n'); tac d/e/f
date -u -d @86400 +%FT%T; printf '%(%Y)T\n' 0
numfmt --to=iec 1048576; factor 1234567; seq -s, 1 0.5 3
head -c 100000 /dev/zero | tr '\0' x | wc -c
for i in {1..20}; do (exit "$i") & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; s=$((s + $?)); done; echo "$s"
trap 'echo end' EXIT
timeout -s INT 1 sleep 5; echo "$?"
echo 'int main(){}' | cat -A; tee a b <<<tee >/dev/null; cat a b
