/* SPDX-License-Identifier: MIT */
/**
 * aspen/compiler.h - the few compiler attributes that public headers use.
 * Valid in C99, C11, and C++ from 11 on.
 */
#ifndef ASPEN_COMPILER_H
#define ASPEN_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define ASPEN_MUST_USE __attribute__((warn_unused_result))
#else
#define ASPEN_MUST_USE
#endif

#endif
