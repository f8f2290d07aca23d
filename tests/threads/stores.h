/* SPDX-License-Identifier: MIT */
/*
 * stores.h - a processor beside others: stores and loads of one byte. The
 * translation stays true until they are done, since whoever takes it away holds
 * the mmap lock for writing, and flushes; a fault that gives a page of one's
 * own does not lose bytes.
 */
#ifndef ASPEN_TESTS_STORES_H
#define ASPEN_TESTS_STORES_H

#include "helper.h"

void store(struct helper *helper, struct aspen_mm *mm, uint64_t address,
           uint8_t byte);
uint8_t load(struct helper *helper, struct aspen_mm *mm, uint64_t address);

#endif
