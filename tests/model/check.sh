#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# check.sh OUTDIR CC [PATTERN]: search the models of tests/model with spin, each
# whole, and each with every mistake that it names, where the search has to find
# what the list below says. PATTERN: only what matches it.
set -u
cd "$(dirname "$0")/../.." || exit 2
out=$1 cc=$2 pattern=${3:-.}
depth=2000000
mkdir -p "$out"
log=$out/log
. scripts/check/lib.bash

# What pan says of a search that saw everything and found nothing.
is_whole()
{
    grep -q 'errors: 0$' "$log" && grep -q 'states, stored' "$log" &&
        ! grep -qE 'not completed|depth too small|VECTORSZ|out of memory' "$log"
}

# prove MODEL EXPECTED OPTION... : EXPECTED is what pan has to complain of, or
# `whole`. Options: -DX for spin, -l: no cycle at all.
prove()
{
    local model=$1 expected=$2 kind=-DSAFETY speed=-O1 search=() defines=() option
    shift 2
    for option; do
        case $option in
        -l) kind=-DNP search=(-l) ;;
        *) defines+=("$option") ;;
        esac
    done
    [ "$expected" = whole ] || speed=-O0 # compiling takes longer than the search
    rm -rf "$out/pan" && mkdir "$out/pan" &&
        cp "tests/model/$model.pml" "$out/pan/" || return
    (
        cd "$out/pan" || exit
        spin -a "${defines[@]+"${defines[@]}"}" "$model.pml" &&
            $cc "$speed" -w "$kind" -o pan pan.c &&
            timeout --foreground 300 ./pan -m$depth "${search[@]+"${search[@]}"}"
    ) || return
    if [ "$expected" = whole ]; then
        is_whole
    else
        grep -E '^pan: *[0-9]*:' "$log" | head -1 | grep -qE -- "$expected"
    fi
}

# model NAME EXPECTED OPTION...
model()
{
    local what="$1 ${*:3}"
    [[ $what =~ $pattern ]] || return 0
    try "$what" prove "$@"
    sed -nE 's/^ *([0-9.e+]+) states, stored.*/     \1 states/p
        s/^pan: elapsed time (.*) seconds/     \1 s/p' "$log"
    grep -E '^pan: *[0-9]*:' "$log" | sed 's/^/     /'
}

scripts/deps.sh model || :
command -v spin >/dev/null || skip_all models 'spin is not installed'

# Two readers at one address; one at two of them; two spaces written at once; and
# with an end to everybody's work, where a cycle is somebody who waits for ever.
one='-DREADERS=1 -DSEQ_MAX=2'
two='-DADDRESSES=1 -DSEQ_MAX=2'
model vma_lock whole $two
model vma_lock whole $one
model vma_lock whole $one -DNO_HINT
model vma_lock whole $one -DADDRESSES=1 -DWRITERS=2
model vma_lock whole $two -DROUNDS=1 -l
model vma_lock whole $one -DPARTS=1
model vma_lock whole $two -DPARTS=1
model vma_lock whole $two -DPARTS=2
model vma_lock whole $one -DADDRESSES=1 -DWRITERS=2 -DPARTS=1
model vma_lock whole $two -DROUNDS=1 -DPARTS=1 -l
model vma_lock '!\(owned' $one -DNO_SEQUENCE
model vma_lock 'vma_mm\[v\]==1' $one -DNO_SPACE
model vma_lock 'vma_start\[v\]==a' $one -DNO_RANGE
model vma_lock '!\(owned' $one -DW4_FIRST
model vma_lock 'invalid end' $one -DNO_WAKE
model vma_lock 'invalid end' $one -DWAKES_UNSEEN
model vma_lock 'lock_readers' $one -DFREE_OPEN
model vma_lock 'lock_readers' $one -DNO_WAIT
model vma_lock 'violated owned' $one -DNO_RESTART
model vma_lock 'leaf_dead' $one -DNO_GRACE
model vma_lock '.' $one -DPARTS=1 -DNO_LOOK
model vma_lock '.' $one -DPARTS=1 -DNO_SCAN
model vma_lock '.' $one -DPARTS=1 -DSTALE
model vma_lock 'invalid end' $one -DPARTS=1 -DNO_WAKE

model fork whole -DRMAP
model fork whole -DSWAPOFF -DREGISTRY
model fork whole -DRMAP -DREGISTRY
model fork whole -DSWAPOFF -DREGISTRY -l
model fork whole -DRMAP -l
model fork 'tree\[.\]!=3' -DSWAPOFF -DMARKER
model fork 'linked' -DSWAPOFF -DMARKER_HIDDEN
model fork 'state==2.*state==3' -DREGISTRY -DREGISTRY_EARLY
model fork 'vma\[' -DRMAP -DLINK_EARLY
model fork 'mode!=1' -DRMAP -DCHILD_FIRST
model fork 'table_memory' -DRMAP -DTABLES_FIRST
model fork 'tree\[i\]!=1' -DTREE_TO_THE_TOP
model fork 'table_memory' -DSWAPOFF -DNO_GATE
model fork 'state==2' -DSWAPOFF -DNO_STATE
model fork 'mmap_read' -DSWAPOFF -DNO_HOLD
model fork 'invalid end' -DSWAPOFF -DLOCKS_INSIDE
model fork 'charge==0' -DCHARGE_KEPT
model fork 'users>0' -DREGISTRY -DPUT_TWICE
finish
