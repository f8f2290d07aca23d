/* SPDX-License-Identifier: MIT */
/*
 * page_map.h - numbers by page, or by any other number.
 */
#ifndef ASPEN_PAGE_MAP_H
#define ASPEN_PAGE_MAP_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_MAP_NONE  UINT32_MAX
#define PAGE_MAP_EMPTY UINT64_MAX

/** Zeroed, it is empty. Whoever goes through it passes over keys that are
 * PAGE_MAP_EMPTY, and numbers that are PAGE_MAP_NONE. */
struct page_map {
    uint64_t *keys;
    uint32_t *values;
    size_t room;
    size_t used;
};

/** NULL, or where the number is; PAGE_MAP_NONE there is none, too. */
uint32_t *page_map_find(const struct page_map *map, uint64_t key);
/** -1: no memory. */
int page_map_put(struct page_map *map, uint64_t key, uint32_t value);
/** Instead of what `to` was. -1: no memory, and it is empty. */
int page_map_copy(struct page_map *to, const struct page_map *from);
void page_map_free(struct page_map *map);

/** Keys that are alike become numbers that are not. */
uint64_t page_map_scatter(uint64_t key);

#endif
