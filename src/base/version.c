/* SPDX-License-Identifier: MIT */
/*
 * version.c - which release and which of the two builds is linked.
 */
#include <aspen/version.h>

const char *
aspen_version(void)
{
    return ASPEN_VERSION_STRING;
}

const char *
aspen_build(void)
{
#ifdef ASPEN_TEST_BUILD
    return "test";
#else
    return "release";
#endif
}
