/* SPDX-License-Identifier: MIT */
/*
 * pressure/contents.h - what a page holds, by its number and how often it was
 * written.
 */
#ifndef ASPEN_PRESSURE_CONTENTS_H
#define ASPEN_PRESSURE_CONTENTS_H

#include <stdint.h>

/** Version 0 is zeroes. Of all others an eighth is one word again and again, a
 * quarter cannot be made smaller, and the rest is like text. */
void pressure_contents(uint32_t page, uint32_t version, void *bytes);

#endif
