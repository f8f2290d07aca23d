# SPDX-License-Identifier: MIT
#
# applets.sh: busybox's shell and its applets. Run in an empty directory; what
# it prints is the same on Linux.
section() { echo "== $1"; }

section here-documents
cat <<END | tr a-z A-Z
one $((1 + 1)) $(echo three)
END
cat <<'END'
$not expanded
END

section loops
i=0 sum=0
while [ $i -lt 50 ]; do
    i=$((i + 1))
    [ $((i % 2)) = 0 ] && continue
    sum=$((sum + i))
done
echo $sum
for word in c b a; do echo $word; done | sort | tr '\n' ' '
echo
case abc in a*) echo matches ;; *) echo not ;; esac
f() { echo "f $#: $*"; return 3; }
f x 'y z' || echo "status $?"
set -- p q r; shift; echo "$1 $#"
x=/usr/lib/name.tar.gz; echo ${x##*/} ${x%.*} ${#x} ${undefined:-default}

section pipelines
seq 1 1000 | grep 7 | wc -l
seq 100000 | md5sum
yes aspen | head -n 20000 | sort | uniq -c | awk '{print $1, $2}'
seq 20 | sed -n '5,7p;s/1\(.\)/<\1>/p' | paste -sd, -
seq 9 | awk '{s += $1; print s}' | tail -n 3 | rev
printf '%s\n' b:2 a:10 c:1 | sort -t: -k2n | cut -d: -f1
echo hello world | tr -d lo | od -An -c
seq 3 | while read n; do echo "n=$n"; done
false | true; echo $?
(exit 5); echo $?

section files
mkdir -p tree/a/b tree/c
echo one >tree/a/1; echo two >tree/a/b/2; echo three >>tree/a/1
ln tree/a/1 tree/c/hard; ln -s ../a/1 tree/c/soft
find tree | sort
cat tree/c/soft; stat -c '%h %F' tree/a/1 tree/c/soft; stat -c %F tree/c
cp -r tree copy; diff -r tree copy && echo same
mv copy/a/b copy/moved; ls copy copy/a
chmod 640 tree/a/1; stat -c %a tree/a/1
touch -d '2001-02-03 04:05:06' tree/a/1; date -r tree/a/1 +%F
test tree/a/1 -ot tree/a/b/2 && echo older
readlink tree/c/soft; realpath tree/c/soft | sed "s,$PWD,.,"
rmdir tree/a 2>/dev/null || echo not empty
rm -r copy; ls
dd if=/dev/zero of=zeroes bs=1000 count=77 2>/dev/null; wc -c <zeroes
dd if=zeroes bs=512 skip=10 count=2 2>/dev/null | md5sum
truncate -s 5000 zeroes
head -c 10 /dev/zero | hexdump -C | head -n 1
du -s tree >/dev/null && echo du

section archives
tar cf t.tar tree; tar tf t.tar | sort; mkdir out
tar xf t.tar -C out; diff -r tree out/tree && echo untarred
gzip -c t.tar | gunzip | cmp - t.tar && echo gzip
bzip2 -c t.tar | bunzip2 | cmp - t.tar && echo bzip2
find tree -type f | sort | cpio -o -H newc 2>/dev/null | cpio -t 2>/dev/null
uuencode t.tar <t.tar | uudecode -o - | cmp - t.tar && echo uu
seq 300 | base64 | md5sum
sha256sum t.tar | wc -c

section jobs
(sleep 0.1; echo late) & echo early; wait; echo done
for i in 1 2 3 4; do (seq $i 10 3000 | awk '{s += $1} END {print s}') & done |
    cat | sort
sleep 30 & kill $!; wait $! 2>/dev/null; echo $?
trap 'echo trapped' USR1; kill -USR1 $$; trap - USR1
sh -c 'kill -9 $$' 2>/dev/null; echo $?
timeout 1 sleep 10; echo timeout $?
mkfifo fifo; (echo through >fifo) & cat fifo; wait
n=0; for i in 1 2 3 4 5 6 7 8 9 10; do n=$((n + $(echo $i))); done; echo $n
echo 'echo from a script $1' >script; sh script here
printf '#!/bin/sh\necho by its name $0 | sed s,.*/,,\n' >named
chmod +x named; ./named

section text
printf 'a b c\nd e f\n' | awk '{print $2; n += NF} END {print n}'
printf 'one\ntwo\nthree\n' | sed '/two/d;s/e/E/g;$a\last'
printf 'k1 v1\nk2 v2\n' >left; printf 'k1 w1\nk3 w3\n' >right
diff left right
printf 'x\ty\n' | expand -t 4; echo 'a,b,c' | cut -d, -f2-
seq 12 | xargs -n 5 echo; echo 'a b' | xargs -I% echo '<%>'
echo '2^10 + 7/2' | bc; expr 17 % 5; factor 360
seq 5 | tac | nl | tr -s ' '; echo abcdef | fold -w 2
printf '%05.1f|%-5s|%x\n' 3.14159 ab 255
strings zeroes | wc -l; echo aGk= | base64 -d; echo
echo abc | md5sum; echo abc | sha1sum; echo abc | crc32 2>/dev/null
vi --help 2>&1 | head -n 1 | cut -c 1-7
find . -name 't*' -maxdepth 1 | sort; which sh >/dev/null && echo which

section processes
echo $$ >mine; [ "$(cat mine)" = $$ ] && echo pid
grep -c . /proc/self/maps >/dev/null && echo maps
(ulimit -v 20000 2>/dev/null; echo limited)
env -i A=1 B=2 env | sort; id -u | wc -l
