/* SPDX-License-Identifier: MIT */
/*
 * page_map.c - see page_map.h. Open addressing, at most half full.
 *
 * Called by trace/model.c and shadow/record.c.
 * tests/unit/tools/test_recorded.c breaks first.
 */
#include "common/page_map.h"

#include <stdlib.h>
#include <string.h>

uint64_t
page_map_scatter(uint64_t key)
{
    key *= 0x9e3779b97f4a7c15u;
    return key ^ key >> 29;
}

static size_t
slot_of(const struct page_map *map, uint64_t key)
{
    size_t i = (size_t)page_map_scatter(key) & (map->room - 1);

    while (map->keys[i] != key && map->keys[i] != PAGE_MAP_EMPTY)
        i = (i + 1) & (map->room - 1);
    return i;
}

uint32_t *
page_map_find(const struct page_map *map, uint64_t key)
{
    if (map->room == 0)
        return NULL;
    size_t i = slot_of(map, key);
    return map->keys[i] == key ? &map->values[i] : NULL;
}

static int
begin(struct page_map *map, size_t room)
{
    *map = (struct page_map){
        .keys = malloc(room * sizeof(*map->keys)),
        .values = malloc(room * sizeof(*map->values)),
        .room = room,
    };
    if (!map->keys || !map->values) {
        page_map_free(map);
        return -1;
    }
    memset(map->keys, 0xff, room * sizeof(*map->keys));
    return 0;
}

static void
put(struct page_map *map, uint64_t key, uint32_t value)
{
    size_t i = slot_of(map, key);

    map->used += map->keys[i] == PAGE_MAP_EMPTY;
    map->keys[i] = key;
    map->values[i] = value;
}

/* Keys without a number stay behind. */
static int
copy(struct page_map *to, const struct page_map *from, size_t room)
{
    if (begin(to, room) != 0)
        return -1;
    for (size_t i = 0; i < from->room; i++)
        if (from->keys[i] != PAGE_MAP_EMPTY && from->values[i] != PAGE_MAP_NONE)
            put(to, from->keys[i], from->values[i]);
    return 0;
}

static int
make_room(struct page_map *map)
{
    struct page_map larger;
    size_t numbers = 0;

    if (2 * (map->used + 1) <= map->room)
        return 0;
    for (size_t i = 0; i < map->room; i++)
        numbers +=
            map->keys[i] != PAGE_MAP_EMPTY && map->values[i] != PAGE_MAP_NONE;
    size_t room = 64;
    while (room < 4 * (numbers + 1))
        room *= 2;
    if (copy(&larger, map, room) != 0)
        return -1;
    page_map_free(map);
    *map = larger;
    return 0;
}

int
page_map_copy(struct page_map *to, const struct page_map *from)
{
    *to = (struct page_map){0};
    return from->room ? copy(to, from, from->room) : 0;
}

int
page_map_put(struct page_map *map, uint64_t key, uint32_t value)
{
    if (make_room(map) != 0)
        return -1;
    put(map, key, value);
    return 0;
}

void
page_map_free(struct page_map *map)
{
    free(map->keys);
    free(map->values);
    *map = (struct page_map){0};
}
