#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/check/sources.sh: rules about the text of the sources that no compiler knows.
#
#   layers    a file of src/ includes only its own layer and those below
#   tools     so does a file of tools/aspen/
#   atomics   only src/base/atomic.h names atomic operations
#   locks     only src/base/lock.h calls the port's locks
#   listed    sources.txt lists every .c file of src/, and nothing else
#   spdx      every file says its licence
#   calls     every public function that returns an int must be looked at by
#             the caller, and is in the table of tests/unit/every/test_every_call.c
#   beside    every public function that takes a machine, space or object has a
#             processor and a second MMU beside it in tests (tests/mmu/beside.c,
#             calls.c), or is in the list of those that change no entry
#             (tests/mmu/apart)
#   semantics docs/use/semantics.md has a line for each advice, and each deviation
#             names a test that exists
#   readme    the example in README.md is the one that is compiled and run,
#             and the packages it names are the ones that get installed
#   porting   the code that docs/use/porting.md shows is that of examples/port.c
#   plots     what is plotted is what docs/evidence/performance.md says
#   files     no folder with more than 20 files, no source above 700 lines
#   sizes     docs/evidence/performance.md has the structures' sizes of today
#   mutants   each patch of tests/mutants still applies
#   mutate    the list of mutants that no test can find names what is there
#   citations what comments and documents name exists (scripts/check/citations.pl)
set -u
cd "$(dirname "$0")/../.." || exit 2

layers="base tree group frames paging machine space object rmap swap migrate reclaim ranges \
fault calls life inspect"
tool_layers="common page host guest snapshot rehearse fuzz trace shadow pressure explore"
. scripts/check/lib.bash

# $1: the rule; $2: what breaks it, empty when it holds.
verdict()
{
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok   $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1"
        printf '%s\n' "$2" | sed 's/^/     /'
    fi
}

layers_broken()
{
    find src -name '*.[ch]' | sort | while read -r file; do
        awk -v file="$file" -v names="$layers" '
            BEGIN {
                count = split(names, list, " ")
                for (i = 1; i <= count; i++)
                    rank[list[i]] = i
                split(file, part, "/")
                # Parts of internal.h stand in the folders whose they are.
                part_of = file == "src/internal.h" || file ~ /_struct\.h$/
                own = part_of ? rank["group"] : rank[part[2]]
                if (!own)
                    print file ": not in a layer"
            }
            /^[ \t]*#[ \t]*include/ {
                name = $0
                gsub(/^[^"<]*["<]|[">].*$/, "", name)
                split(name, part, "/")
                if ($0 ~ /</)
                    good = name ~ /^aspen\/|^aspen_port\.h$/ ||
                           name ~ /^std(bool|def|int|arg)\.h$/
                else if (name == "internal.h")
                    good = own > rank["tree"]
                else if (file == "src/internal.h" && name ~ /_struct\.h$/)
                    good = part[1] in rank
                else
                    good = (part[1] in rank) && rank[part[1]] <= own
                if (!good)
                    print file ":" FNR ": includes " name
            }' "$file"
    done
}

# rehearse, fuzz, shadow may use what stands before them; main.c uses all.
tool_layers_broken()
{
    find tools/aspen -mindepth 2 -name '*.[ch]' | sort |
        xargs awk -v names="$tool_layers" '
            BEGIN {
                count = split(names, list, " ")
                for (i = 1; i <= count; i++)
                    rank[list[i]] = i
            }
            FNR == 1 {
                split(FILENAME, part, "/")
                own = rank[part[3]]
                if (!own)
                    print FILENAME ": not in a layer"
            }
            /^[ \t]*#[ \t]*include[ \t]*"/ {
                name = $0
                gsub(/^[^"]*"|".*$/, "", name)
                split(name, part, "/")
                if (!(part[1] in rank) || rank[part[1]] > own)
                    print FILENAME ":" FNR ": includes " name
            }'
}

atomics_broken()
{
    grep -rnE '\b__(atomic|sync)_|\b_Atomic\b|stdatomic|\batomic_[a-z]+' src \
        include | grep -v '^src/base/atomic\.h:'
}

locks_broken()
{
    grep -rnE 'aspen_port_(spin|read|write)_' src |
        grep -v '^src/base/lock\.h:'
}

listed_broken()
{
    diff <(sed 's/#.*//;/^ *$/d' sources.txt | sort) \
        <(find src -name '*.c' | sort) | grep '^[<>]' |
        sed 's/^</only in sources.txt:/;s/^>/not in sources.txt:/'
}

spdx_broken()
{
    find . -path ./build -prune -o -path ./.git -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.rs' -o -name '*.sh' -o -name '*.mk' -o -name '*.pl' \
        -o -name '*.py' -o -name Makefile -o -name sources.txt \
        -o -name '*.pml' -o -name meson.build -o -name CMakeLists.txt \) -print |
        sort | while read -r file; do
        head -n 4 "$file" | grep -q 'SPDX-License-Identifier: ' ||
            echo "$file: no SPDX line"
    done
}

calls_broken()
{
    cat include/aspen/*.h include/aspen/*/*.h | awk '
        /^[ \t]*(\/\*|\*)/ {next}
        /^(ASPEN_MUST_USE[ \t]+)?int([ \t]|$)/ {
            must = /^ASPEN_MUST_USE/
            line = $0
            if (line !~ /aspen_[a-z0-9_]+\(/ && (getline more) > 0)
                line = line " " more
            if (match(line, /aspen_[a-z0-9_]+\(/))
                print substr(line, RSTART, RLENGTH - 1), must
            found++
        }
        END {if (!found) print "none-found", 1}' | while read -r name must; do
        [ "$must" = 1 ] || echo "$name: not ASPEN_MUST_USE"
        grep -q "^    CALL($name," tests/unit/every/test_every_call.c ||
            echo "$name: not in tests/unit/every/test_every_call.c"
    done
}

beside_broken()
{
    cat include/aspen/*.h include/aspen/*/*.h | perl -0777 -ne '
        s{/\*.*?\*/}{}gs;
        s/\s+/ /g;
        for (split /;/) {
            next unless /\b(aspen_\w+) ?\(([^()]*)\) *$/;
            my ($name, $takes) = ($1, $2);
            print "$name\n"
                if $takes =~ /(?<!const )struct aspen(_mm|_object)? \*/;
        }' | sort -u | while read -r name; do
        { tests/mmu/wraps.sh tests/mmu/beside.c tests/mmu/calls.c && cat tests/mmu/apart; } |
            grep -qE "(^|=)$name\$" || echo "$name: neither here nor there"
    done
}

# "test_name: this case, that case": functions whose names have those words.
test_missing()
{
    local file cases="${1#*:}" case
    file=$(find tests/unit tests/host tests/threads -name "${1%%:*}.c")
    [ -f "$file" ] || { echo "$1: no such test"; return; }
    [ "$cases" != "$1" ] || return
    printf '%s\n' "$cases" | tr ',' '\n' | while read -r case; do
        grep -qE "^[a-z0-9_]*${case// /_}[a-z0-9_]*\(" "$file" ||
            echo "$1: no test of ${case}"
    done
}

semantics_broken()
{
    sed -n 's/^ *ASPEN_MADV_\([A-Z_]*\).*/\1/p' include/aspen/calls/advise.h |
        while read -r advice; do
            grep -q "^| $advice |" docs/use/semantics.md ||
                echo "$advice: no line of its own"
        done
    awk -F ' *\\| *' '/^## /{on = $0 == "## Deviations"; next}
        on && /^\|/ && $2 != "what" && $2 !~ /^-/ {print $6}' \
        docs/use/semantics.md | while read -r shown; do
        case $shown in
            '`aspen fuzz`'*) ;;
            test_*) test_missing "$shown" ;;
            *) echo "a deviation that nothing shows: $shown" ;;
        esac
    done
}

readme_broken()
{
    awk '/^```c$/ {on = 1; next} /^```/ {on = 0} on {$1 = $1; print}' \
        README.md | while read -r line; do
        awk '{$1 = $1; print}' examples/embed.c | grep -qxF -- "$line" ||
            echo "not in examples/embed.c: $line"
    done
    for package in $(sed -n 's/^\(build\|check\|swap\|packages\)="\(.*\)"/\2/p' \
        scripts/deps.sh | tr ' ' '\n' | grep -v '^\$'); do
        tr -s '` ' '\n' <README.md | grep -qxF -- "$package" ||
            echo "not named in README.md: $package"
    done
}

porting_broken()
{
    awk '/^<!-- from examples\/port.c -->$/ {ours = 1; next}
        /^```c$/ {on = ours; ours = 0; next}
        /^```/ {on = 0}
        on' docs/use/porting.md | while IFS= read -r line; do
        grep -qxF -- "$line" examples/port.c ||
            echo "not in examples/port.c: $line"
    done
}

plots_broken()
{
    local now
    now=$(mktemp -d) || return
    PLOTS_DATA=$now scripts/plots.sh data
    for file in tree fork calls; do
        cmp -s "$now/$file.dat" "docs/evidence/plots/$file.dat" ||
            echo "docs/evidence/plots/$file.dat: make plots"
    done
    rm -r "$now"
}

# One finds one's way in a folder that fits on half a screen. Mutants and
# snapshots are data.
files_broken()
{
    find src include tools tests scripts ports bench -type f |
        grep -v '^tests/\(mutants\|snapshots\)/' | sed 's,/[^/]*$,,' |
        sort | uniq -c | awk '$1 > 20 {print $2 ": " $1 " files"}'
    find src include tools tests scripts ports bench -type f \
        \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.rs' -o -name '*.sh' -o -name '*.pl' \) -print |
        sort | xargs wc -l |
        awk '$2 != "total" && $1 > 700 {print $2 ": " $1 " lines"}'
}

# Where there is no gcc or no liburcu there is nothing to compare with. The
# figures are those of x86-64.
sizes_broken()
{
    local today
    [ "$(uname -m)" = x86_64 ] || return
    today=$(scripts/sizes.sh --structures 2>/dev/null) || return
    awk '/^structures, bytes/ {on = 1; next} /^```/ {on = 0} on' \
        docs/evidence/performance.md | diff - <(printf '%s\n' "$today") |
        grep '^[<>]'
}

mutants_broken()
{
    for patch in tests/mutants/*.patch; do
        git apply --check "$patch" 2>/dev/null ||
            echo "$patch: does not apply any more"
    done
}

verdict layers "$(layers_broken)"
verdict tools "$(tool_layers_broken)"
verdict atomics "$(atomics_broken)"
verdict locks "$(locks_broken)"
verdict listed "$(listed_broken)"
verdict spdx "$(spdx_broken)"
verdict calls "$(calls_broken)"
verdict beside "$(beside_broken)"
verdict semantics "$(semantics_broken)"
if [ -f README.md ] && [ -f examples/embed.c ]; then
    verdict readme "$(readme_broken)"
fi
verdict porting "$(porting_broken)"
verdict plots "$(plots_broken)"
verdict files "$(files_broken)"
verdict sizes "$(sizes_broken)"
if command -v git >/dev/null; then
    verdict mutants "$(mutants_broken)"
    verdict mutate "$(scripts/mutate/mutate.pl --check 2>&1)"
    verdict citations "$(scripts/check/citations.pl)"
else
    skip check-sources 'no git: mutants, mutate and citations'
fi
finish
