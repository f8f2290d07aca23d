/* SPDX-License-Identifier: MIT */
/*
 * bits.c - what gcc calls where the processor has no Zbb, for who links without
 * libgcc: of no use to clang, nor with -march=rv64gc_zbb. Neither is asked of
 * 0.
 */
#include <aspen_port.h>

int __ctzdi2(uint64_t value);
int __clzdi2(uint64_t value);

int
__ctzdi2(uint64_t value)
{
    int zeroes = 0;

    for (unsigned half = 32; half; half /= 2)
        if (!(value & (((uint64_t)1 << half) - 1))) {
            value >>= half;
            zeroes += (int)half;
        }
    return zeroes;
}

int
__clzdi2(uint64_t value)
{
    int zeroes = 0;

    for (unsigned half = 32; half; half /= 2)
        if (!(value >> (64 - half))) {
            value <<= half;
            zeroes += (int)half;
        }
    return zeroes;
}
