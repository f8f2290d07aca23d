# SPDX-License-Identifier: MIT
#
# tty.sh: what check.sh types, line by line; ^D ends a file once,
# and two who read at once get each line once. What it prints:
#
#= one
#= an end
#= twothree
#= an end
#= 300
cat
echo an end
cat
echo an end
cat <&0 >/tmp/first &
cat >/tmp/second
wait
cat /tmp/first /tmp/second | wc -l
