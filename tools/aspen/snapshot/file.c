/* SPDX-License-Identifier: MIT */
/*
 * snapshot/file.c - snapshots as files. The header is drawn in snapshot.h;
 * the payload is, in this order (all numbers of variable length):
 *
 *   flags (1 torn, 2 redacted, 4 frames_told), method, ambiguous, assumed,
 *   unread
 *   counters: how many, then each + 1 (0: unknown)
 *   strings: how many (without string 0), then length and bytes of each
 *   name, release: strings
 *   objects: how many, then device, inode, kind of each
 *   VMAs: how many, then for each
 *     pages between the last VMA's end and its start, its length in pages
 *     permissions and key, VmFlags, path, object + 1, pgoff, page shift,
 *     resident pages, swapped pages, how many runs, then for each
 *       pages between the last run's end (first the VMA's start) and it
 *       kind + 16 * level, count, and for RAW and SWAP value + 1
 *       (wrapping: SNAPSHOT_NO_SLOT is 0)
 *
 * Whatever a file holds, parsing ends with a reason or with a snapshot for
 * which snapshot_check() holds; memory is bounded by the file's length. A
 * file is never left half written: it has its name only when all of it is
 * on the disk.
 *
 * Called by capture, rehearse and make_snapshots. test_snapshot.c breaks
 * first: it cuts a file at each length and changes each byte.
 */
#define _GNU_SOURCE
#include "snapshot/snapshot.h"
#include "common/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t magic[8] = {0x89, 'A', 'S', 'N', '\r', '\n', 0x1a, '\n'};

#define FLAG_TORN        1u
#define FLAG_REDACTED    2u
#define FLAG_FRAMES_TOLD 4u
#define FLAGS_KNOWN      7u

#define VMA_LEAST_BYTES 11u
#define RUN_LEAST_BYTES 3u

/* --- writing numbers ----------------------------------------------------- */

static void
put_little(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t
get_little(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | from[i];
    return value;
}

static uint64_t
fnv1a(uint64_t hash, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t
checksum(const uint8_t *file, size_t payload)
{
    uint64_t hash = fnv1a(0xcbf29ce484222325u, file, 24);

    return fnv1a(hash, file + SNAPSHOT_HEADER_BYTES, payload);
}

static void
put(struct tool_buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];
    size_t length = 0;
    uint8_t *room;

    while (value >= 0x80) {
        bytes[length++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[length++] = (uint8_t)value;
    room = tool_buffer_add(buffer, length);
    if (room != NULL)
        memcpy(room, bytes, length);
}

static void
put_strings(struct tool_buffer *buffer, const struct snapshot *snapshot,
            const uint32_t *number, uint32_t used)
{
    put(buffer, used);
    for (uint32_t i = 1; i < snapshot->string_count; i++) {
        const char *text = snapshot_text(snapshot, i);
        size_t length = strlen(text);
        uint8_t *room;

        if (number[i] == 0)
            continue;
        put(buffer, length);
        room = tool_buffer_add(buffer, length);
        if (room != NULL)
            memcpy(room, text, length);
    }
}

static void
put_runs(struct tool_buffer *buffer, const struct snapshot *snapshot,
         const struct snapshot_vma *vma)
{
    uint64_t at = vma->start;

    put(buffer, vma->run_count);
    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run = &snapshot->runs[vma->first_run + i];
        unsigned kind = snapshot_run_kind(run);

        put(buffer, (snapshot_run_address(run) - at) >> SNAPSHOT_PAGE_SHIFT);
        put(buffer, kind | snapshot_run_level(run) << 4);
        put(buffer, run->count);
        if (kind == SNAPSHOT_RAW || kind == SNAPSHOT_SWAP)
            put(buffer, run->value + 1);
        at = snapshot_run_end(run);
    }
}

static void
put_vmas(struct tool_buffer *buffer, const struct snapshot *snapshot,
         const uint32_t *number)
{
    uint64_t at = 0;

    put(buffer, snapshot->vma_count);
    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        const struct snapshot_vma *vma = &snapshot->vmas[i];

        put(buffer, (vma->start - at) >> SNAPSHOT_PAGE_SHIFT);
        put(buffer, (vma->end - vma->start) >> SNAPSHOT_PAGE_SHIFT);
        put(buffer, vma->permissions);
        put(buffer, number[vma->vm_flags]);
        put(buffer, number[vma->path]);
        put(buffer, (uint32_t)(vma->object + 1));
        put(buffer, vma->pgoff);
        put(buffer, vma->page_shift);
        put(buffer, vma->rss_pages);
        put(buffer, vma->swap_pages);
        put_runs(buffer, snapshot, vma);
        at = vma->end;
    }
}

static void
put_head(struct tool_buffer *buffer, const struct snapshot *snapshot)
{
    put(buffer, (snapshot->torn ? FLAG_TORN : 0) |
                    (snapshot->redacted ? FLAG_REDACTED : 0) |
                    (snapshot->frames_told ? FLAG_FRAMES_TOLD : 0));
    put(buffer, snapshot->method);
    put(buffer, snapshot->ambiguous);
    put(buffer, snapshot->assumed);
    put(buffer, snapshot->unread);
    put(buffer, SNAPSHOT_COUNTERS);
    for (unsigned i = 0; i < SNAPSHOT_COUNTERS; i++)
        put(buffer, snapshot->counters[i] + 1);
}

/*
 * Only strings that something refers to are written: a redacted snapshot must
 * not carry the paths along. number[] gets their new indices.
 */
static uint32_t
number_strings(const struct snapshot *snapshot, uint32_t *number)
{
    uint32_t used = 0;

    for (uint64_t i = 0; i < snapshot->vma_count; i++) {
        number[snapshot->vmas[i].vm_flags] = 1;
        number[snapshot->vmas[i].path] = 1;
    }
    number[snapshot->name] = 1;
    number[snapshot->release] = 1;
    number[0] = 0;
    for (uint32_t i = 1; i < snapshot->string_count; i++)
        if (number[i] != 0)
            number[i] = ++used;
    return used;
}

/* --- reading numbers ----------------------------------------------------- */

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* sticks */
};

static uint64_t
take(struct reader *reader)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;

        if (reader->at == reader->end)
            break;
        byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return value;
    }
    reader->bad = true;
    return 0;
}

/* A number of things that take at least `bytes` each in the rest. */
static uint64_t
take_count(struct reader *reader, size_t bytes)
{
    uint64_t count = take(reader);

    if (count > (uint64_t)(reader->end - reader->at) / bytes) {
        reader->bad = true;
        return 0;
    }
    return count;
}

static uint64_t
take_below(struct reader *reader, uint64_t limit)
{
    uint64_t value = take(reader);

    if (value >= limit) {
        reader->bad = true;
        return 0;
    }
    return value;
}

/* Pages to bytes, behind `base`. */
static uint64_t
take_address(struct reader *reader, uint64_t base)
{
    uint64_t pages = take_below(reader, SNAPSHOT_ADDRESS_LIMIT >> 12);

    return base + (pages << SNAPSHOT_PAGE_SHIFT);
}

static int
take_head(struct reader *reader, struct snapshot *snapshot)
{
    uint64_t flags = take_below(reader, FLAGS_KNOWN + 1);
    uint64_t count;

    snapshot->torn = (flags & FLAG_TORN) != 0;
    snapshot->redacted = (flags & FLAG_REDACTED) != 0;
    snapshot->frames_told = (flags & FLAG_FRAMES_TOLD) != 0;
    snapshot->method =
        (enum snapshot_method)take_below(reader, SNAPSHOT_METHODS);
    snapshot->ambiguous = take(reader);
    snapshot->assumed = take(reader);
    snapshot->unread = take(reader);
    count = take_below(reader, SNAPSHOT_COUNTERS + 1);
    for (uint64_t i = 0; i < count; i++)
        snapshot->counters[i] = take(reader) - 1;
    return reader->bad ? -1 : 0;
}

static int
take_strings(struct reader *reader, struct snapshot *snapshot, bool *no_memory)
{
    uint64_t count = take_count(reader, 1);

    for (uint64_t i = 1; i <= count && !reader->bad; i++) {
        uint64_t length = take_count(reader, 1);
        uint32_t string;

        if (reader->bad || memchr(reader->at, 0, (size_t)length) != NULL)
            return -1;
        string =
            snapshot_string(snapshot, (const char *)reader->at, (size_t)length);
        if (string == UINT32_MAX) {
            *no_memory = true;
            return -1;
        }
        if (string != i) /* the same text twice */
            return -1;
        reader->at += length;
    }
    snapshot->name = (uint32_t)take_below(reader, snapshot->string_count);
    snapshot->release = (uint32_t)take_below(reader, snapshot->string_count);
    return reader->bad ? -1 : 0;
}

static int
take_objects(struct reader *reader, struct snapshot *snapshot, bool *no_memory)
{
    uint64_t count = take_count(reader, 3);

    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        uint64_t device = take(reader);
        uint64_t inode = take(reader);
        uint64_t kind = take_below(reader, SNAPSHOT_OBJECT_KINDS);
        uint32_t object;

        if (reader->bad)
            return -1;
        object = snapshot_object(snapshot, device, inode,
                                 (enum snapshot_object_kind)kind);
        if (object == SNAPSHOT_NO_OBJECT) {
            *no_memory = true;
            return -1;
        }
        if (object != i)
            return -1;
    }
    return reader->bad ? -1 : 0;
}

static int
take_runs(struct reader *reader, struct snapshot *snapshot, uint64_t start,
          bool *no_memory)
{
    uint64_t count = take_count(reader, RUN_LEAST_BYTES);
    uint64_t at = start;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t address = take_address(reader, at);
        uint64_t what = take_below(reader, 64);
        uint64_t entries = take(reader);
        unsigned kind = what & 15;
        uint64_t value = 0;
        struct snapshot_run run;

        if (kind == SNAPSHOT_RAW || kind == SNAPSHOT_SWAP)
            value = take(reader) - 1;
        run = (struct snapshot_run){address | what, entries, value};
        if (reader->bad || entries == 0 || what >> 4 > 2 ||
            entries > SNAPSHOT_ADDRESS_LIMIT >> 12 >> (9 * (what >> 4)) ||
            snapshot_run_end(&run) > SNAPSHOT_ADDRESS_LIMIT)
            return -1;
        if (snapshot_add_run(snapshot, address, entries, (unsigned)what >> 4,
                             (enum snapshot_kind)kind, value) != 0) {
            *no_memory = true;
            return -1;
        }
        at = snapshot_run_end(&run);
    }
    return reader->bad ? -1 : 0;
}

static int
take_vma(struct reader *reader, struct snapshot *snapshot, uint64_t *at,
         bool *no_memory)
{
    struct snapshot_vma vma = {0};

    vma.start = take_address(reader, *at);
    vma.end = take_address(reader, vma.start);
    vma.permissions = (uint32_t)take_below(reader, SNAPSHOT_PERM_LIMIT);
    vma.vm_flags = (uint32_t)take_below(reader, snapshot->string_count);
    vma.path = (uint32_t)take_below(reader, snapshot->string_count);
    vma.object =
        (uint32_t)take_below(reader, (uint64_t)snapshot->object_count + 1) - 1;
    vma.pgoff = take(reader);
    vma.page_shift = (uint32_t)take_below(reader, 64);
    vma.rss_pages = take(reader);
    vma.swap_pages = take(reader);
    if (reader->bad || vma.end > SNAPSHOT_ADDRESS_LIMIT)
        return -1;
    vma.flags = snapshot_vma_flags(snapshot, &vma);
    if (snapshot_add_vma(snapshot, &vma) == NULL) {
        *no_memory = true;
        return -1;
    }
    *at = vma.end;
    return take_runs(reader, snapshot, vma.start, no_memory);
}

static int
take_payload(struct reader *reader, struct snapshot *snapshot, bool *no_memory)
{
    uint64_t count;
    uint64_t at = 0;

    if (take_head(reader, snapshot) != 0 ||
        take_strings(reader, snapshot, no_memory) != 0 ||
        take_objects(reader, snapshot, no_memory) != 0)
        return -1;
    count = take_count(reader, VMA_LEAST_BYTES);
    for (uint64_t i = 0; i < count && !reader->bad; i++)
        if (take_vma(reader, snapshot, &at, no_memory) != 0)
            return -1;
    return reader->bad || reader->at != reader->end ? -1 : 0;
}

static int
check_header(const uint8_t *bytes, size_t length, const char *name,
             struct tool_error *error)
{
    size_t head = length < sizeof(magic) ? length : sizeof(magic);
    uint64_t payload;
    uint64_t version;

    if (head > 0 && memcmp(bytes, magic, head) != 0)
        return tool_fail(error, "%s is not an Aspen snapshot", name);
    if (length < SNAPSHOT_HEADER_BYTES)
        return tool_fail(error, "%s is truncated: %zu bytes%s", name, length,
                         length == 0 ? " (an empty file)" : "");
    version = get_little(bytes + 8, 4);
    if (version > SNAPSHOT_VERSION)
        return tool_fail(error,
                         "%s is a newer snapshot: format %llu, this aspen "
                         "reads up to %u",
                         name, (unsigned long long)version, SNAPSHOT_VERSION);
    if (version == 0 || get_little(bytes + 12, 4) != 0)
        return tool_fail(error, "%s is corrupt: bad header", name);
    payload = get_little(bytes + 16, 8);
    if (payload > length - SNAPSHOT_HEADER_BYTES)
        return tool_fail(error, "%s is truncated: %zu bytes of %llu", name,
                         length,
                         (unsigned long long)payload + SNAPSHOT_HEADER_BYTES);
    if (payload < length - SNAPSHOT_HEADER_BYTES)
        return tool_fail(error, "%s is corrupt: %zu bytes too many", name,
                         length - SNAPSHOT_HEADER_BYTES - (size_t)payload);
    if (get_little(bytes + 24, 8) != checksum(bytes, (size_t)payload))
        return tool_fail(error, "%s is corrupt: its checksum does not fit",
                         name);
    return 0;
}

/* --- files --------------------------------------------------------------- */

/* So that nobody reads /dev/zero or a disk image to its end. */
static bool
looks_like_ours(const uint8_t *bytes, size_t length)
{
    return length < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) == 0;
}

int
snapshot_encode(const struct snapshot *snapshot, struct tool_buffer *buffer)
{
    uint32_t *number = calloc(snapshot->string_count, sizeof(*number));
    uint8_t *header;
    uint32_t used;

    if (number == NULL)
        return -1;
    used = number_strings(snapshot, number);
    (void)tool_buffer_add(buffer, SNAPSHOT_HEADER_BYTES);
    put_head(buffer, snapshot);
    put_strings(buffer, snapshot, number, used);
    put(buffer, number[snapshot->name]);
    put(buffer, number[snapshot->release]);
    put(buffer, snapshot->object_count);
    for (uint32_t i = 0; i < snapshot->object_count; i++) {
        put(buffer, snapshot->objects[i].device);
        put(buffer, snapshot->objects[i].inode);
        put(buffer, snapshot->objects[i].kind);
    }
    put_vmas(buffer, snapshot, number);
    free(number);
    if (buffer->failed)
        return -1;
    header = buffer->bytes;
    memcpy(header, magic, sizeof(magic));
    put_little(header + 8, SNAPSHOT_VERSION, 4);
    put_little(header + 12, 0, 4);
    put_little(header + 16, buffer->length - SNAPSHOT_HEADER_BYTES, 8);
    put_little(header + 24,
               checksum(header, buffer->length - SNAPSHOT_HEADER_BYTES), 8);
    return 0;
}

int
snapshot_parse(struct snapshot *snapshot, const uint8_t *bytes, size_t length,
               const char *name, struct tool_error *error)
{
    struct reader reader = {0};
    struct tool_error reason = {"its contents make no sense"};
    bool no_memory = false;

    if (check_header(bytes, length, name, error) != 0)
        return -1;
    reader.at = bytes + SNAPSHOT_HEADER_BYTES;
    reader.end = bytes + length;
    if (snapshot_init(snapshot) != 0)
        no_memory = true;
    else if (take_payload(&reader, snapshot, &no_memory) == 0 &&
             snapshot_check(snapshot, &reason) == 0)
        return 0;
    snapshot_free(snapshot);
    if (no_memory)
        return tool_fail(error, "no memory for %s", name);
    return tool_fail(error, "%s is corrupt: %s", name, reason.text);
}

int
snapshot_save(const struct snapshot *snapshot, const char *path,
              struct tool_error *error)
{
    struct tool_buffer buffer = {0};
    int result = -ENOMEM;

    if (snapshot_encode(snapshot, &buffer) == 0)
        result = whole_file_write(path, &buffer);
    tool_buffer_free(&buffer);
    if (result != 0)
        return tool_fail(error, "cannot write %s: %s", path, strerror(-result));
    return 0;
}

int
snapshot_load(struct snapshot *snapshot, const char *path,
              struct tool_error *error)
{
    struct tool_buffer buffer = {0};
    int result = tool_read_file(path, &buffer, sizeof(magic), looks_like_ours);

    if (result != 0)
        tool_fail(error, "cannot read %s: %s", path, strerror(-result));
    else
        result =
            snapshot_parse(snapshot, buffer.bytes, buffer.length, path, error);
    tool_buffer_free(&buffer);
    return result == 0 ? 0 : -1;
}
