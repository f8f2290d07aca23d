/* SPDX-License-Identifier: MIT */
/**
 * aspen/version.h - the version, and what is promised about it.
 *
 * Before 1.0 a minor release may change the API; CHANGELOG.md names each
 * change and what a caller has to do. A patch release never does.
 */
#ifndef ASPEN_VERSION_H
#define ASPEN_VERSION_H

#define ASPEN_VERSION_MAJOR  0
#define ASPEN_VERSION_MINOR  1
#define ASPEN_VERSION_PATCH  0
#define ASPEN_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that is linked, "major.minor.patch". */
const char *aspen_version(void);

/** "release" or "test": which of the two builds is linked. */
const char *aspen_build(void);

#ifdef __cplusplus
}
#endif

#endif
