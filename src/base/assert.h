/* SPDX-License-Identifier: MIT */
/*
 * base/assert.h - three levels of assertion, for bugs only. Wrong input from
 * outside is answered with an error.
 *
 *   ASPEN_ASSERT        cheap, in every build
 *   ASPEN_ASSERT_TEST   in the test build: may cost as much as the operation
 *   ASPEN_STATIC_ASSERT at compile time
 */
#ifndef ASPEN_BASE_ASSERT_H
#define ASPEN_BASE_ASSERT_H

#include "base/bits.h"
#include <aspen_port.h>

#define ASPEN_STRINGIFY2(x) #x
#define ASPEN_STRINGIFY(x)  ASPEN_STRINGIFY2(x)

#define ASPEN_ASSERT(condition)                                                \
    ((condition) ? (void)0                                                     \
                 : aspen_port_panic(__FILE__ ":" ASPEN_STRINGIFY(              \
                       __LINE__) ": "                                          \
                                 "assertion failed: " #condition))

#ifdef ASPEN_TEST_BUILD
#define ASPEN_ASSERT_TEST(condition) ASPEN_ASSERT(condition)
#else
#define ASPEN_ASSERT_TEST(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#define ASPEN_STATIC_ASSERT(condition, message)                                \
    _Static_assert(condition, message)

#endif
