# SPDX-License-Identifier: MIT
#
# compile.sh: gcc compiles a program that then runs, and prints what it does on
# Linux. In an empty directory.
cat >program.c <<'END'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

int
main(int count, char **arguments)
{
    int *numbers = malloc(100000 * sizeof(int));
    unsigned seed = 1;
    double sum = 0;

    for (int i = 0; i < 100000; i++) {
        seed = seed * 1103515245 + 12345;
        numbers[i] = (int)(seed >> 8 & 0xffff);
    }
    qsort(numbers, 100000, sizeof(int), by_value);
    for (int i = 0; i < 100000; i++)
        sum += sqrt(numbers[i]) / (i + 1);
    printf("%d %d %.6f %s\n", numbers[0], numbers[50000], sum,
           count > 1 ? arguments[1] : "");
    return count;
}
END
gcc -O2 -Wall -o program program.c -lm && ./program argument
echo "$?"
gcc -O0 -g -c program.c && nm program.o | grep -c ' T '
echo 'int main(void) { return undeclared; }' >wrong.c
gcc wrong.c 2>&1 | grep -c error
